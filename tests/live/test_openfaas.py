"""The function behind OpenFaaS: called through the real gateway and the real queue."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from .callbacks import Receiver
from .caller import (
    NDJSON,
    SECRET,
    Request,
    build,
    documents,
    get,
    post,
    read_until,
    signature,
    stream,
)
from .gate import Gate
from .test_building import running, scratch_image

if TYPE_CHECKING:
    from collections.abc import Iterator
    from http.client import HTTPResponse

    from stack.openfaas.openfaas import OpenFaaS

    from .conftest import StartOpenFaaS

FUNCTION = "/function/builder-fn"
ASYNC = "/async-function/builder-fn"
EVENTS = "text/event-stream"
# The gateway streams only what starts so; q lets the function send the lines that go-sdk reads.
LINES_LIVE = f"{EVENTS};q=0.5, {NDJSON}"

# nats-queue-worker handler/nats_queue.go, Queue.
QUEUE_LIMIT_BYTES = 256_000

FAAS_CLI = shutil.which("faas-cli")
FAAS_CLI_SECONDS = 60.0


@pytest.mark.parametrize("path", [FUNCTION, f"{FUNCTION}/", f"{FUNCTION}/build"])
def test_a_build_is_answered_with_one_document(gateway: str, mirror: str, path: str) -> None:
    answer = build(gateway, scratch_image(f"{mirror}/live/openfaas:1"), path=path)
    assert answer.status == 200
    assert answer.document["status"] == "success"
    assert answer.headers["X-Build-Id"] == answer.document["buildId"]


def test_lines_of_json_pass_the_gateway(gateway: str, mirror: str) -> None:
    request = scratch_image(f"{mirror}/live/openfaas:1")
    answer = build(gateway, request, accept=NDJSON, path=FUNCTION)
    assert answer.headers["Content-Type"].startswith(NDJSON)
    assert {line["status"] for line in answer.lines[:-1]} == {"in_progress"}
    assert answer.document["status"] == "success"


def test_lines_of_json_arrive_while_the_build_runs(gateway: str) -> None:
    with (
        Gate() as gate,
        stream(gateway, running(gate.command), accept=LINES_LIVE, path=FUNCTION) as answer,
    ):
        read_until(answer, "arrived")
        gate.open()
        *_, final = documents(answer)
    assert final["status"] == "success"


def test_events_arrive_while_the_build_runs(gateway: str) -> None:
    with (
        Gate() as gate,
        stream(gateway, running(gate.command), accept=EVENTS, path=FUNCTION) as answer,
    ):
        assert answer.headers["Content-Type"].startswith(EVENTS)
        coming = events(answer)
        assert any("arrived" in entry for event in coming for entry in event["log"])
        gate.open()
        *_, final = coming
    assert final["status"] == "success"


def test_hanging_up_at_the_gateway_cancels_the_build(gateway: str) -> None:
    with Gate() as gate:
        with stream(gateway, running(gate.command), accept=LINES_LIVE, path=FUNCTION) as answer:
            read_until(answer, "arrived")
        gate.wait_until_left()


def test_a_failing_build_stays_the_callers_fault(gateway: str) -> None:
    answer = build(gateway, running("exit 3"), path=FUNCTION)
    assert answer.status == 422
    assert answer.document["status"] == "failed"


def test_a_wrong_signature_stays_unauthorized(gateway: str) -> None:
    body = scratch_image("unused:1").tar()
    answer = post(gateway, body, {"X-Build-Signature": signature(body, b"another")}, path=FUNCTION)
    assert answer.status == 401
    assert answer.document["status"] == "failed"


def test_a_call_without_replicas_says_so(openfaas: OpenFaaS) -> None:
    openfaas.register("deployed-nowhere", [])
    answer = post(openfaas.url, b"", {}, path="/function/deployed-nowhere")
    assert answer.status == 503
    assert b"No endpoints available for: deployed-nowhere" in answer.body


def test_the_callback_carries_the_result_and_our_headers(
    gateway: str, mirror: str, callbacks: Receiver
) -> None:
    body = scratch_image(f"{mirror}/live/openfaas:1").tar()
    accepted = post(gateway, body, {"X-Callback-Url": callbacks.url}, path=ASYNC)
    assert (accepted.status, accepted.body) == (202, b"")
    callback = callbacks.next()
    assert callback.document["status"] == "success"
    assert callback.headers["X-Function-Status"] == "200"
    assert callback.headers["X-Call-Id"] == accepted.headers["X-Call-Id"]
    assert callback.headers["X-Build-Id"] == callback.document["buildId"]
    assert callback.headers["Content-Type"].startswith("application/json")


def test_the_callback_of_a_failed_build_tells_the_error(gateway: str, callbacks: Receiver) -> None:
    post(gateway, running("exit 3").tar(), {"X-Callback-Url": callbacks.url}, path=f"{ASYNC}/build")
    callback = callbacks.next()
    assert callback.headers["X-Function-Status"] == "422"
    assert callback.document["status"] == "failed"
    assert "exit 3" in callback.document["error"]


def test_the_queue_takes_what_just_fits(gateway: str, mirror: str, callbacks: Receiver) -> None:
    body = padded(scratch_image(f"{mirror}/live/openfaas:1"), QUEUE_LIMIT_BYTES - 1)
    assert post(gateway, body, {"X-Callback-Url": callbacks.url}, path=ASYNC).status == 202
    assert callbacks.next().document["status"] == "success"


def test_the_queue_refuses_more(gateway: str, mirror: str) -> None:
    body = padded(scratch_image(f"{mirror}/live/openfaas:1"), QUEUE_LIMIT_BYTES + 1)
    answer = post(gateway, body, {}, path=ASYNC)
    assert answer.status == 500
    assert b"maximum: 256000 bytes" in answer.body


def test_a_call_not_acknowledged_in_time_is_made_again_meanwhile(
    start_openfaas: StartOpenFaaS,
) -> None:
    own = start_openfaas(worker_settings={"ack_wait": "1s"}, workers=2)
    with Receiver(held=True) as function:
        own.register("slow", [function.url])
        accepted = post(own.url, b"a body", {}, path="/async-function/slow")
        first, again = function.next(), function.next()
    assert first.body == again.body == b"a body"
    assert first.headers["X-Call-Id"] == again.headers["X-Call-Id"]
    assert first.headers["X-Call-Id"] == accepted.headers["X-Call-Id"]


def test_a_gateway_that_waits_too_briefly_cancels_the_build(
    start_openfaas: StartOpenFaaS, builder: str
) -> None:
    own = start_openfaas(gateway_settings={"upstream_timeout": "1s"})
    own.register("builder-fn", [builder])
    with Gate() as gate:
        answer = build(own.url, running(gate.command), path=FUNCTION)
        assert (answer.status, answer.body) == (502, b"")
        gate.wait_until_left()


def test_every_replica_is_called(openfaas: OpenFaaS) -> None:
    with Receiver() as one, Receiver() as other:
        openfaas.register("replicated", [one.url, other.url])
        for _ in range(64):  # all go to the same one with a chance of 2 in 2^64
            assert get(openfaas.url, "/function/replicated").status == 202
        assert one.next()
        assert other.next()


def test_a_deployment_asked_for_through_the_gateway_is_kept(openfaas: OpenFaaS) -> None:
    wanted = {"service": "sample", "image": "registry.example/sample:1", "labels": {"a": "b"}}
    answer = post(openfaas.url, json.dumps(wanted).encode(), {}, path="/system/functions")
    assert answer.status == 202
    assert openfaas.deployments()[-1] == wanted


def test_a_call_of_what_is_deployed_and_runs_nowhere_says_what_it_takes(openfaas: OpenFaaS) -> None:
    wanted = {"service": "deployed-here", "image": "registry.example/deployed-here:1"}
    answer = post(openfaas.url, json.dumps(wanted).encode(), {}, path="/system/functions")
    assert answer.status == 202

    answer = post(openfaas.url, b"", {}, path="/function/deployed-here")

    assert answer.status == 503
    assert b"deployed-here is deployed, but nothing runs it" in answer.body
    assert b"to a cluster or to faasd" in answer.body


@pytest.mark.skipif(FAAS_CLI is None, reason="faas-cli is not on PATH")
class TestFaasCli:
    def test_lists_and_describes_the_function(self, gateway: str) -> None:
        assert "builder-fn" in faas_cli(gateway, "list", "--quiet").splitlines()
        lines = (
            line.partition(":") for line in faas_cli(gateway, "describe", "builder-fn").splitlines()
        )
        described = {name: value.strip() for name, _, value in lines}
        assert described["Status"] == "Ready"
        assert described["Available Replicas"] == "1"

    def test_invoke_signs_as_the_function_verifies(self, gateway: str, mirror: str) -> None:
        signed = ["--sign", "X-Build-Signature", "--key", SECRET.decode()]
        kind = ["--content-type", "application/octet-stream"]
        body = scratch_image(f"{mirror}/live/openfaas:1").tar()
        said = faas_cli(gateway, "invoke", "builder-fn", *signed, *kind, body=body)
        # Without ~/.openfaas/config.yml it says so first, on standard output.
        assert json.loads(said.splitlines()[-1])["status"] == "success"


def faas_cli(gateway: str, *arguments: str, body: bytes = b"") -> str:
    assert FAAS_CLI
    done = subprocess.run(
        [FAAS_CLI, *arguments, "--gateway", gateway],
        input=body,
        capture_output=True,
        timeout=FAAS_CLI_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def events(answer: HTTPResponse) -> Iterator[dict[str, Any]]:
    """Yield the data of each event (WHATWG HTML, server-sent events), which is JSON in one line."""
    while line := answer.readline():
        field, _, value = line.partition(b":")
        if field == b"data":
            yield json.loads(value)


def padded(request: Request, size: int) -> bytes:
    """Return the request's tar, its final zeros continued up to this size."""
    return request.tar().ljust(size, b"\0")
