"""After any end of a build nothing of its request stays in memory, without a garbage collection.

Through the handler, as the template calls it: by a caller that waits, or reads a stream, and detached.
"""

from __future__ import annotations

import gc
import io
import json
import threading
import uuid
import weakref
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest
from werkzeug.datastructures import Headers, MultiDict

from function import handler
from function.builds.admission import Account
from function.builds.job import id_of_call

from .caller import SECRET, Request, signature
from .commands import document
from .gate import Gate
from .waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from werkzeug.wrappers import Response

QUICK = "FROM scratch\nCOPY . /\n"
STEPS = "FROM debian:trixie-slim\nRUN {}\n"
SKIPPED = {"skipPush": True}


class Body(io.BytesIO):
    """Bytes that can be asked after."""


@dataclass
class Event:
    """A request as the template hands it on."""

    buffer: memoryview
    headers: Headers
    method: str = "POST"
    path: str = "/build"
    query: MultiDict[str, str] = field(default_factory=MultiDict)
    gone: threading.Event = field(default_factory=threading.Event)

    @property
    def body(self) -> bytes:
        return bytes(self.buffer)

    def client_disconnected(self) -> bool:
        return self.gone.is_set()


@dataclass(frozen=True)
class Case:
    """A request, what happens while it runs, and the reason that it ends for; "" for a success."""

    request: Request
    reason: str = ""
    settings: dict[str, str] = field(default_factory=dict)
    meanwhile: Callable[[Event, str, Gate], None] | None = None
    detachable: bool = True


def running(**config: object) -> Request:
    return Request({"Dockerfile": STEPS}, config={**SKIPPED, **config})


def failing(dockerfile: str, **config: object) -> Request:
    return Request({"Dockerfile": dockerfile, "a": "a"}, config={**SKIPPED, **config})


def hang_up(event: Event, _build_id: str, gate: Gate) -> None:
    gate.wait_until_arrived()
    event.gone.set()


def cancel(_event: Event, build_id: str, gate: Gate) -> None:
    gate.wait_until_arrived()
    asked = document("cancel", build_id)
    assert ask(asked, "/cancel").status_code == 202


def shut_down(_event: Event, _build_id: str, gate: Gate) -> None:
    gate.wait_until_arrived()
    handler.builder().stop()


CASES = {
    "succeeds": Case(failing(QUICK)),
    "a step fails": Case(failing("FROM debian:trixie-slim\nRUN exit 3\n"), "build_failed"),
    "a file is missing": Case(failing("FROM scratch\nCOPY missing /\n"), "build_failed"),
    "cannot be parsed": Case(failing("FRM scratch\n"), "build_failed"),
    "cannot be pushed": Case(
        replace(failing(QUICK), image="127.0.0.1:1/nobody:1", config={}), "build_failed"
    ),
    "times out": Case(running(timeout=1), "build_timed_out"),
    "its caller hangs up": Case(running(), "caller_gone", meanwhile=hang_up, detachable=False),
    "is cancelled": Case(running(), "build_cancelled", meanwhile=cancel),
    "the replica shuts down": Case(running(), "interrupted", meanwhile=shut_down),
    "is refused without room": Case(
        failing(QUICK), "busy", {"max_builds": "1", "max_waiting": "0", "max_detached": "0"}
    ),
    "names a callback that is none": Case(failing(QUICK, callbackUrl="nowhere"), "bad_config"),
    "names a callback that is not allowed": Case(
        failing(QUICK, callbackUrl="https://example.com/"), "bad_config"
    ),
    "has a pattern that is none": Case(
        Request({"Dockerfile": QUICK, ".dockerignore": "[\n"}, config=SKIPPED), "build_failed"
    ),
}


@contextmanager
def no_collection() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@pytest.fixture
def serve(
    shared_daemon: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[dict[str, str]], None]:
    """Make the handler a replica of its own: `serve(settings)`."""
    (tmp_path / "payload-secret").write_bytes(SECRET)

    def start(settings: dict[str, str]) -> None:
        own = {"secret_mount_path": str(tmp_path), "buildkit_url": shared_daemon, **settings}
        for name, value in own.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(handler, "_builder", None)

    return start


def event_of(body: Body, headers: dict[str, str]) -> Event:
    signed = signature(bytes(body.getbuffer()))
    return Event(body.getbuffer(), Headers({"X-Build-Signature": signed, **headers}))


def ask(asked: bytes, path: str) -> Response:
    event = event_of(Body(asked), {})
    event.path = path
    return handler.handle(event, None)


@pytest.mark.parametrize("how", ["waits", "streams", "detaches"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_nothing_of_a_request_stays_whatever_ends_its_build(
    serve: Callable[[dict[str, str]], None], case: Case, how: str
) -> None:
    if how == "detaches" and not case.detachable:
        pytest.skip("nobody waits for a detached build")
    serve(case.settings)
    with Gate() as gate, no_collection():
        if case.reason == "busy":  # the one place is taken, by nobody who builds
            handler.builder().replica.admission.request(Account("k", "i"))
        body = ordered(case, how, gate)
        # Its session ends a moment after it.
        wait_until(lambda: body() is None)


def ordered(case: Case, how: str, gate: Gate) -> weakref.ref[Body]:
    """See the build to its end, and keep nothing of it but the means to ask after its body."""
    files = {
        name: str(text).replace("{}", gate.command) for name, text in case.request.files.items()
    }
    config = {**case.request.config, **({"detach": True} if how == "detaches" else {})}
    body = Body(replace(case.request, files=files, config=config).tar())
    accept = {"Accept": "application/x-ndjson"} if how == "streams" else {}
    # By a call id the build's own id is known before it has ended.
    event = event_of(body, {**accept, "X-Call-Id": uuid.uuid4().hex})
    build_id = id_of_call(
        f"docker.io/library/{case.request.image.partition(':')[0]}",
        event.headers["X-Call-Id"],
        event.headers["X-Build-Signature"],
    )
    answered: list[bytes] = []

    def call() -> None:
        with closing(handler.handle(event, None)) as answer:
            answered.append(answer.get_data())

    caller = threading.Thread(target=call)
    caller.start()
    if case.meanwhile:
        case.meanwhile(event, build_id, gate)
    caller.join()
    [answer] = answered
    last = json.loads(answer.splitlines()[-1])
    assert last.get("reason", "") == ("" if last["status"] == "in_progress" else case.reason)
    return weakref.ref(body)
