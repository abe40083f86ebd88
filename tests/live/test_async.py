"""Through the real queue: the callback of an asynchronous build, what it carries, and how it is trusted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .caller import NDJSON, Request, post, signature
from .test_building import running

if TYPE_CHECKING:
    from .callbacks import Received, Receiver

ASYNC = "/async-function/builder-fn"
QUEUE_LIMIT_BYTES = 256_000


def called_back(gateway: str, callbacks: Receiver, request: Request, **headers: str) -> Received:
    wanted = {"X-Callback-Url": callbacks.url, **headers}
    assert post(gateway, request.tar(), wanted, path=ASYNC).status == 202
    return callbacks.next()


@pytest.mark.parametrize(("command", "status"), [("true", 200), ("exit 3", 422)])
def test_the_callback_is_signed_over_its_exact_body(
    gateway: str, callbacks: Receiver, command: str, status: int
) -> None:
    received = called_back(gateway, callbacks, running(command))

    assert received.headers["X-Function-Status"] == str(status)
    assert received.headers["X-Build-Id"] == received.document["buildId"]
    assert received.headers["X-Build-Result-Signature"] == signature(received.body)
    assert received.headers["X-Build-Result-Signature"] != signature(received.body + b" ")


def test_a_long_log_is_cut_to_its_end(gateway: str, callbacks: Receiver) -> None:
    lines = "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); echo line-$i-é; done"
    received = called_back(gateway, callbacks, running(lines))

    assert len(received.body) < QUEUE_LIMIT_BYTES
    document = received.document
    assert document["status"] == "success"
    assert any("line-20000-" in entry for entry in document["log"])
    assert document["logOmitted"] > 1000
    assert document["logUrl"] == "/logs"
    assert received.headers["X-Build-Result-Signature"] == signature(received.body)


def test_a_callback_is_one_document_whatever_the_caller_accepts(
    gateway: str, callbacks: Receiver
) -> None:
    received = called_back(gateway, callbacks, running("true"), Accept=NDJSON)

    assert received.document["status"] == "success"
