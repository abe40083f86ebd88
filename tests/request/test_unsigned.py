from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
from werkzeug.datastructures import Headers, MultiDict

from function.errors import RequestError
from function.request import unsigned


def event(query: dict[str, str] | None = None, **headers: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return SimpleNamespace(query=MultiDict(query or {}), headers=Headers(named), path="/build")


@pytest.mark.parametrize("value", ["", "0", "1", "true", "no"])
def test_a_query_cannot_detach_a_build(value: str) -> None:
    with pytest.raises(
        RequestError, match=r'put "detach": true into com\.openfaas\.docker\.config'
    ):
        unsigned.require_nothing_that_must_be_signed(event({"detach": value}))


def test_other_queries_are_none_of_its_business() -> None:
    unsigned.require_nothing_that_must_be_signed(event({"failed": "200", "op": "build"}))


@pytest.mark.parametrize(
    ("timeout", "seconds"), [("1m30s", 90.0), ("", math.inf), ("soon", math.inf)]
)
def test_a_callers_patience_is_what_the_watchdogs_header_says(timeout: str, seconds: float) -> None:
    assert unsigned.patience(event(X_Timeout=timeout)) == seconds


def test_a_caller_whose_template_cannot_tell_has_never_gone() -> None:
    assert not unsigned.caller_gone(event())()
