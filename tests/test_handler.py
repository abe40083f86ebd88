"""The handler behind the template's own application. No daemon is there, so nothing is ever built."""

from __future__ import annotations

import base64
import gc
import gzip
import hashlib
import hmac
import json
import time
import weakref
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from nacl.public import PrivateKey
from serving import refusal
from serving.app import create_app
from serving.budget import ByteBudget
from serving.head import parse
from serving.server import ARRIVED, PARSED_SHARE, REFUSAL, SHARE
from werkzeug.datastructures import Headers
from werkzeug.test import Client

from function import handler
from function.buildkit.outcome import BuildResult
from function.builds.admission import Account
from function.callbacks.detached import finish
from function.request.signature import Key
from function.tenants import NOBODY

from .callbacks.callback_receiver import receiver
from .live.waiting import wait_until
from .tar_members import config, file, request, tar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from serving.budget import Share

    from function.answers.ongoing import Ongoing
    from function.callbacks.target import Target

SECRET = b"s3cret"
OWNER = Account("key", "image")
SECONDS = 10.0
NDJSON = {"Accept": "application/x-ndjson"}


@pytest.fixture(autouse=True)
def secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give each test a replica of its own, its secrets, and a socket at which nobody listens."""
    (tmp_path / "payload-secret").write_bytes(SECRET)
    monkeypatch.setenv("secret_mount_path", str(tmp_path))
    monkeypatch.setenv("buildkit_url", f"unix://{tmp_path}/nobody.sock")
    monkeypatch.setenv("daemon_patience", "1s")
    monkeypatch.setattr(handler, "_builder", None)
    yield tmp_path
    if handler._builder is not None:
        for daemon in handler._builder.replica.pools.everybodys.daemons.all():
            daemon.client.reconnect()


@pytest.fixture
def client() -> Client:
    return Client(create_app(handler))


def signed(body: bytes, secret: bytes = SECRET) -> dict[str, str]:
    return {"X-Build-Signature": f"sha256={hmac.new(secret, body, hashlib.sha256).hexdigest()}"}


def test_the_replica_is_alive_without_a_daemon(client: Client) -> None:
    assert client.get("/healthz").status_code == 200


def test_without_a_daemon_the_replica_is_not_ready(client: Client) -> None:
    answer = client.get("/ready")

    assert answer.status_code == 503
    assert answer.get_json()["reason"] == "buildkitd_unavailable"
    assert answer.headers["Retry-After"] == "5"


def test_without_a_secret_the_replica_is_not_ready(client: Client, secrets: Path) -> None:
    (secrets / "payload-secret").unlink()

    answer = client.get("/ready")

    assert (answer.status_code, answer.get_json()["reason"]) == (503, "not_ready")
    assert "payload-secret" in answer.get_json()["error"]


def test_without_a_secret_nothing_is_built(client: Client, secrets: Path) -> None:
    (secrets / "payload-secret").unlink()
    body = request()

    assert client.post("/build", data=body, headers=signed(body, b"")).status_code == 503


@pytest.mark.parametrize(
    ("why", "status", "reason"),
    [
        (refusal.too_large(1000), 413, "too_large"),
        (refusal.shutting_down(), 503, "interrupted"),
        (refusal.no_memory(), 503, "no_memory"),
    ],
)
def test_what_the_template_refuses_is_answered_like_all_else(
    client: Client, why: refusal.Refusal, status: int, reason: str
) -> None:
    answer = client.post("/build", environ_base={REFUSAL: why})
    streamed = client.post("/build", environ_base={REFUSAL: why}, headers=NDJSON)

    assert (answer.status_code, answer.get_json()["reason"]) == (status, reason)
    assert ("Retry-After" in answer.headers) == (status == 503)
    assert streamed.status_code == 200
    assert json.loads(streamed.data)["error"] == answer.get_json()["error"]


def used(budget: ByteBudget) -> int:
    gc.collect()  # the client of the tests keeps a request in a cycle
    return budget.used


def test_what_a_body_unpacks_to_comes_out_of_the_same_budget(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handler, "_ROOM_SECONDS", 0.01)
    body = gzip.compress(request(file("context/large", bytes(1_300_000))))
    budget = ByteBudget(4 << 20)

    def reason(share: Callable[[], Share]) -> str:
        answer = client.post("/build", data=body, headers=signed(body), environ_base={SHARE: share})
        return str(answer.get_json()["reason"])

    assert reason(budget.share) == "buildkitd_unavailable"
    wait_until(lambda: used(budget) == 0)
    others = budget.share()
    assert others.grow(3 << 20)
    assert reason(budget.share) == "no_memory"
    assert reason(ByteBudget(1 << 20).share) == "too_large"
    wait_until(lambda: used(budget) == 3 << 20)


def test_what_is_made_of_an_archive_comes_out_of_a_budget(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handler, "_ROOM_SECONDS", 0.01)
    body = request(*(file(f"context/{at}") for at in range(4000)))
    budget = ByteBudget(4 << 20)

    def answer(share: Callable[[], Share]) -> Any:
        return client.post(
            "/build", data=body, headers=signed(body), environ_base={PARSED_SHARE: share}
        )

    assert answer(budget.share).get_json()["reason"] == "buildkitd_unavailable"
    wait_until(lambda: used(budget) == 0)
    others = budget.share()
    assert others.grow(3 << 20)
    refused = answer(budget.share)
    assert (refused.status_code, refused.get_json()["reason"]) == (503, "no_memory")
    assert refused.headers["Retry-After"]
    too_large = answer(ByteBudget(1 << 20).share)
    assert (too_large.status_code, too_large.get_json()["reason"]) == (413, "too_large")
    assert "raise the memory limit" in too_large.get_json()["error"]
    wait_until(lambda: used(budget) == 3 << 20)


def test_a_large_signed_body_is_signed_while_it_arrives(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = b"not a tar, as only a holder of the secret gets to hear"
    headers = signed(body)
    lines = [f"{name}: {value}" for name, value in headers.items()]
    head = "\r\n".join(["POST /build HTTP/1.1", "Host: a", *lines, "", ""]).encode()
    arriving = handler.arriving(parse(head))
    assert arriving
    arriving.update(body)
    new = hmac.new

    def no_pass_over_the_body(key: bytes, message: bytes, digest: str) -> hmac.HMAC:
        assert len(message) != len(body)
        return new(key, message, digest)

    monkeypatch.setattr(hmac, "new", no_pass_over_the_body)
    answer = client.post("/build", data=body, headers=headers, environ_base={ARRIVED: arriving})

    assert answer.get_json()["reason"] == "bad_archive"


def test_an_unsigned_body_is_not_signed_while_it_arrives() -> None:
    assert handler.arriving(parse(b"POST /build HTTP/1.1\r\nHost: a\r\n\r\n")) is None


@pytest.mark.parametrize("path", ["/", "/build", "/build/"])
@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({}, id="none"),
        pytest.param(signed(b"another body"), id="of another body"),
        pytest.param({"X-Build-Signature": "sha256=abc"}, id="malformed"),
    ],
)
def test_no_wrong_or_malformed_signature_is_a_401(
    client: Client, path: str, headers: dict[str, str]
) -> None:
    answer = client.post(path, data=request(), headers=headers)

    assert answer.status_code == 401
    assert answer.get_json()["status"] == "failed"
    assert answer.get_json()["reason"] == "bad_signature"
    # faas-cli asks for a password where it sees this.
    assert "WWW-Authenticate" not in answer.headers


def test_two_signatures_are_a_401(client: Client) -> None:
    body = request()
    twice = Headers([*signed(body).items(), *signed(body).items()])

    assert client.post("/build", data=body, headers=twice).status_code == 401


def test_an_unsigned_body_is_never_parsed(client: Client) -> None:
    answer = client.post("/build", data=b"not a tar", headers=signed(b"other"))

    assert answer.get_json()["reason"] == "bad_signature"


def test_a_body_too_large_is_a_413_before_its_signature_is_looked_at(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("max_body_bytes", "10")

    answer = client.post("/build", data=b"x" * 11)

    assert (answer.status_code, answer.get_json()["reason"]) == (413, "too_large")
    assert "10 bytes" in answer.get_json()["error"]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        pytest.param(b"", "bad_archive", id="nothing"),
        pytest.param(b"not a tar", "bad_archive", id="no tar"),
        pytest.param(tar(), "bad_archive", id="an empty tar"),
    ],
)
def test_a_body_that_cannot_be_built_is_a_400(client: Client, body: bytes, reason: str) -> None:
    answer = client.post("/build", data=body, headers=signed(body))

    assert (answer.status_code, answer.get_json()["reason"]) == (400, reason)


@pytest.mark.parametrize("operation", ["status", "logs", "result", "cancel", "list"])
def test_a_question_too_large_is_a_400_before_its_signature_is_looked_at(
    client: Client, operation: str
) -> None:
    answer = client.post(f"/{operation}", data=b" " * ((64 << 10) + 1))

    assert (answer.status_code, answer.get_json()["reason"]) == (400, "bad_command")
    assert "65537 bytes; 65536 are the most" in answer.get_json()["error"]


def test_a_question_may_come_in_the_body_or_without_one_in_a_header(client: Client) -> None:
    question = b'{"op": "another"}'

    in_body = client.post("/status", data=question, headers=signed(question))
    in_header = client.post(
        "/status", headers=signed(question) | {"X-Build-Request": question.decode()}
    )

    assert in_body.get_json()["reason"] == in_header.get_json()["reason"] == "bad_command"


def test_an_unknown_path_is_a_404(client: Client) -> None:
    answer = client.post("/nothing", data=b"x")

    assert (answer.status_code, answer.get_json()["reason"]) == (404, "not_found")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("PUT", "/build"),
        ("DELETE", "/build"),
        ("POST", "/healthz"),
        ("PUT", "/ready"),
    ],
)
def test_another_method_is_a_405(client: Client, method: str, path: str) -> None:
    answer = client.open(path, method=method)

    assert (answer.status_code, answer.get_json()["reason"]) == (405, "method_not_allowed")


def test_a_caller_that_asked_for_a_stream_is_refused_in_a_stream(client: Client) -> None:
    answer = client.post("/build", data=request(), headers=NDJSON)

    assert answer.status_code == 200
    assert answer.mimetype == "application/x-ndjson"
    [only] = answer.get_data().splitlines()
    assert json.loads(only)["reason"] == "bad_signature"


def test_a_daemon_that_cannot_be_reached_is_a_503(client: Client) -> None:
    body = request()

    answer = client.post("/build", data=body, headers=signed(body))

    assert (answer.status_code, answer.get_json()["reason"]) == (503, "buildkitd_unavailable")
    assert answer.headers["Retry-After"] == "5"
    assert answer.headers["X-Build-Id"] == answer.get_json()["buildId"]


def test_a_stream_ends_with_a_status_though_the_daemon_cannot_be_reached(
    client: Client,
) -> None:
    body = request()

    answer = client.post("/build", data=body, headers=signed(body) | NDJSON)

    first, *_, last = map(json.loads, answer.get_data().splitlines())
    assert answer.status_code == 200
    assert first["status"] == "in_progress"
    assert (last["status"], last["reason"]) == ("failed", "buildkitd_unavailable")
    assert last["retryAfter"] == 5


def test_with_all_places_taken_the_caller_is_told_when_to_try_again(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("max_builds", "1")
    monkeypatch.setenv("max_waiting", "0")
    body = request()

    handler.builder().replica.admission.request(OWNER)
    answer = client.post("/build", data=body, headers=signed(body))

    assert (answer.status_code, answer.get_json()["reason"]) == (429, "busy")
    assert answer.headers["Retry-After"] == "10"


def event(body: bytes, headers: dict[str, str]) -> Any:
    """Return what the public template hands over: no buffer, and no word about the client."""
    return SimpleNamespace(
        method="POST", path="/build", query={}, headers=Headers(headers), body=body
    )


def test_an_answer_that_is_never_read_leaves_no_place_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("max_builds", "1")
    monkeypatch.setenv("max_waiting", "0")
    body = request()

    handler.handle(event(body, signed(body) | NDJSON), None).close()

    assert handler.builder().replica.admission.request(OWNER).taken


def test_the_public_template_is_enough() -> None:
    answer = handler.handle(event(b"not a tar", signed(b"not a tar")), None)

    assert answer.status_code == 400


def test_builds_that_wait_when_the_replica_stops_say_so(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("max_builds", "1")
    body = request()

    handler.builder().replica.admission.request(OWNER)  # so that the build waits in line
    handler.stop()
    answer = client.post("/build", data=body, headers=signed(body))

    assert (answer.status_code, answer.get_json()["reason"]) == (503, "interrupted")


def test_settings_that_make_no_sense_stop_the_function_at_its_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("buildkit_url", "http://buildkitd")

    with pytest.raises(SystemExit, match="buildkit_url must be"):
        handler.start()


def test_hands_out_the_current_key_for_build_secrets(client: Client, secrets: Path) -> None:
    current = PrivateKey.generate()
    (secrets / "build-secrets-key").write_bytes(base64.b64encode(bytes(current)))
    (secrets / "build-secrets-key-before").write_bytes(base64.b64encode(bytes(32)))
    public = base64.b64encode(bytes(current.public_key)).decode()

    for path in ("/publickey", "/public-key", "/?op=publickey"):
        assert client.get(path).get_json() == {
            "key_id": public[:8],
            "algorithm": "nacl/box",
            "public_key": public,
        }


def test_without_a_key_for_build_secrets_the_operator_is_told(client: Client) -> None:
    answer = client.get("/publickey")

    assert (answer.status_code, answer.get_json()["reason"]) == (503, "not_ready")
    assert "build-secrets-key" in answer.get_json()["error"]


def test_a_wrong_method_is_told_the_right_one(client: Client) -> None:
    answer = client.put("/build")

    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")


def test_the_status_of_a_failed_build_is_one_of_two(client: Client) -> None:
    body = request()

    answer = client.post("/build?failed=500", data=body, headers=signed(body))

    assert (answer.status_code, answer.get_json()["reason"]) == (400, "bad_request")
    assert 'must be 422 or 200, not "500"' in answer.get_json()["error"]


def test_what_was_refused_is_counted(client: Client) -> None:
    client.post("/build", data=b"x")

    counted = client.get("/metrics").get_data(as_text=True)
    assert 'builder_fn_requests_refused_total{reason="bad_signature"} 1.0' in counted


def test_a_refusal_of_what_was_signed_is_signed(client: Client) -> None:
    body = b"not a tar"

    answer = client.post("/build", data=body, headers=signed(body))

    said = signed(answer.get_data())["X-Build-Signature"]
    assert answer.headers["X-Build-Result-Signature"] == said


def test_a_refusal_of_what_nobody_signed_is_not_signed(client: Client) -> None:
    answer = client.post("/build", data=b"x", headers=signed(b"another"))

    assert "X-Build-Result-Signature" not in answer.headers


class Ending:
    """A build that ends as *failure* says, or well."""

    id = "b1"
    image = "reg/a:1"
    image_ref = ""
    created = duration = 1.0
    steps = warnings = ()

    def __init__(self, failure: Exception | None = None) -> None:
        self.result: BuildResult | None = BuildResult()
        self._failure = failure

    def lines(self) -> Iterator[list[str]]:
        yield ["a line"]
        if self._failure:
            raise self._failure

    def close(self) -> None:
        pass


def finished(build: Ongoing, to: Target) -> None:
    replica = handler.builder().replica
    replica.background.start(lambda: finish(build, to, NOBODY, replica.deliveries), name="finishes")


def test_a_build_that_meets_an_error_of_our_own_is_called_back_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("callback_private", "true")
    with receiver(200) as server:
        finished(Ending(RuntimeError("of our own")), server.target)
        wait_until(lambda: bool(server.received), SECONDS)

    [(_, body, headers)] = server.received
    document = json.loads(body)
    assert (document["status"], document["reason"]) == ("failed", "internal")
    assert document["buildId"] == headers["X-Build-Id"] == "b1"


def test_a_callback_that_waits_holds_nothing_of_its_build(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("callback_private", "true")
    build = Ending()
    left = weakref.ref(build)
    gc.disable()  # it must not need one
    try:
        with receiver(503) as server:
            finished(build, server.target)
            del build
            wait_until(lambda: bool(server.received) and left() is None, SECONDS)
            assert not handler.idle()
            handler.stop()
            wait_until(handler.idle, SECONDS)
    finally:
        gc.enable()


def test_a_callback_that_did_not_arrive_is_counted(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("callback_private", "true")
    with receiver(404) as server:
        finished(Ending(), server.target)
        wait_until(lambda: bool(server.received) and handler.idle(), SECONDS)

    counted = client.get("/metrics").get_data(as_text=True)
    assert 'builder_fn_callbacks_total{outcome="refused"} 1.0' in counted
    assert 'builder_fn_callbacks_total{outcome="dropped"} 0.0' in counted


def asked(**values: object) -> bytes:
    return json.dumps({"op": "publickey", "time": time.time(), **values}).encode()


def test_a_signed_question_for_the_public_key_is_answered_signed(
    client: Client, secrets: Path
) -> None:
    (secrets / "build-secrets-key").write_bytes(base64.b64encode(bytes(PrivateKey.generate())))
    body = asked(nonce="n1")

    answer = client.post("/publickey", data=body, headers=signed(body))

    assert answer.get_json()["nonce"] == "n1"
    signature = signed(answer.get_data())["X-Build-Signature"]
    assert answer.headers["X-Build-Result-Signature"] == signature


def test_a_wrongly_signed_question_for_the_public_key_is_refused(client: Client) -> None:
    body = asked()

    assert client.post("/publickey", data=body, headers=signed(b"another")).status_code == 401


def test_a_query_cannot_detach(client: Client) -> None:
    body = request()

    answer = client.post("/build?detach=1", data=body, headers=signed(body))

    assert (answer.status_code, answer.get_json()["reason"]) == (400, "bad_request")


@pytest.mark.parametrize("said", [{}, {"time": 1_600_000_000, "nonce": "n"}])
def test_what_could_be_sent_again_for_ever_is_refused_where_the_operator_wants_it(
    client: Client, monkeypatch: pytest.MonkeyPatch, said: dict[str, object]
) -> None:
    monkeypatch.setenv("request_max_age", "5m")
    body = tar(config("registry.test/a:1", **said), file("context/Dockerfile", b"FROM scratch\n"))

    answer = client.post("/build", data=body, headers=signed(body))

    assert (answer.status_code, answer.get_json()["reason"]) == (401, "request_expired")


def test_the_last_line_of_a_stream_is_signed(client: Client) -> None:
    body = tar(config("NOT VALID"))

    answer = client.post("/build", data=body, headers={**signed(body), **NDJSON})

    line = answer.get_data().splitlines()[-1]
    document, comma, signature = line.rpartition(b', "signature": ')
    assert comma
    assert json.loads(signature.removesuffix(b"}")) == signed(document + b"}")["X-Build-Signature"]


def test_a_short_payload_secret_is_a_warning() -> None:
    assert "6 bytes" in Key("payload-secret", b"s3cret").weakness
    assert Key("payload-secret", b"0123456789abcdef").weakness == ""
