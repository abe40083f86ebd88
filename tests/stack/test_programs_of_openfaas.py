"""The sources that OpenFaaS is built from, and that it is built before it is used."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from stack.errors import StackError
from stack.openfaas import programs as openfaas_programs
from stack.paths import Paths

if TYPE_CHECKING:
    from pathlib import Path


def test_programs_that_are_not_built_are_asked_for(tmp_path: Path) -> None:
    with pytest.raises(StackError, match=r"run \./scripts/up --openfaas"):
        openfaas_programs.built(Paths(cache=tmp_path))


def test_what_the_provider_says_of_itself_is_in_go_mod() -> None:
    module = Paths().repository / "scripts" / "openfaas"
    said = re.search(r'"faas-provider (v\S+)"', (module / "provider" / "handlers.go").read_text())
    assert said
    assert f"faas-provider {said.group(1)}\n" in (module / "go.mod").read_text()
