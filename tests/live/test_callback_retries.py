"""The builder's own callback, to a receiver that is not there at first."""

from __future__ import annotations

import json
import os
import signal
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from stack.daemons import ports

from .callbacks import Receiver
from .caller import PATIENCE, Request, build, signature
from .commands import wait_for_state
from .scraping import total
from .test_building import running
from .waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from stack.daemons.function import Function

    from .conftest import StartFunction

CALLED = {"callback_hosts": ports.LOOPBACK, "callback_private": "true"}
LARGE = 32 << 20  # bytes
RESIDENT = "process_resident_memory_bytes"


def test_a_receiver_that_fails_and_is_down_for_a_while_is_told_in_the_end(
    start_function: StartFunction, shared_daemon: str
) -> None:
    with (
        down_after_one_call() as (port, called),
        start_function(shared_daemon, **CALLED) as function,
    ):
        request = running("true")
        url = f"http://{ports.LOOPBACK}:{port}/built"
        request.config = {**request.config, "callbackUrl": url}
        build_id = str(build(function.url, request).document["buildId"])
        called()
        with Receiver(port=port) as receiver:
            received = receiver.next()

    assert received.document["buildId"] == build_id
    assert received.document["status"] == "success"
    assert received.headers["X-Build-Result-Signature"] == signature(received.body)


def test_builds_whose_receiver_is_down_leave_their_bodies_behind(
    start_function: StartFunction, shared_daemon: str
) -> None:
    with (
        closed_port() as port,
        start_function(shared_daemon, **CALLED, shutdown_grace="1s") as function,
    ):
        called_back_at(port, function, LARGE)  # what the first one leaves is no news
        before = total(f"{function.url}/metrics", RESIDENT)
        for _ in range(4):
            called_back_at(port, function, LARGE)
        wait_until(lambda: total(f"{function.url}/metrics", RESIDENT) - before < 1.5 * LARGE)


def test_a_callback_that_a_shutdown_cuts_short_is_logged_with_its_ids(
    start_function: StartFunction, shared_daemon: str
) -> None:
    with (
        closed_port() as port,
        start_function(shared_daemon, **CALLED, shutdown_grace="1s") as function,
    ):
        build_id = called_back_at(port, function, 1)
        function.daemon.process.send(signal.SIGTERM)
        wait_until(lambda: bool(not_delivered(function)))
        [said] = not_delivered(function)

    assert (said["buildId"], said["outcome"]) == (build_id, "dropped")
    assert said["to"] == f"{ports.LOOPBACK}:{port}"
    assert said["delivery"]
    assert "shutting down" in said["error"]


def called_back_at(port: int, function: Function, size: int) -> str:
    """Return the id of a build that has ended, with so many bytes in its context; its callback waits."""
    config = {"skipPush": True, "callbackUrl": f"http://{ports.LOOPBACK}:{port}/built"}
    dockerfile = "FROM scratch\nCOPY Dockerfile /\n"
    request = Request({"Dockerfile": dockerfile, "data": os.urandom(size)}, config=config)
    build_id = str(build(function.url, request).document["buildId"])
    assert wait_for_state(function.url, build_id, "success", "failed")["state"] == "success"
    return build_id


def not_delivered(function: Function) -> list[dict[str, Any]]:
    """Return what the function has logged of callbacks that did not arrive."""
    lines = function.daemon.log.read_text().splitlines()
    documents = [json.loads(line) for line in lines if line.startswith("{")]
    return [each for each in documents if each["message"] == "callback not delivered"]


@contextmanager
def closed_port() -> Iterator[int]:
    """Yield a port at which nobody listens, and that nobody else gets meanwhile."""
    with socket.socket() as bound:
        bound.bind((ports.LOOPBACK, 0))
        yield bound.getsockname()[1]


@contextmanager
def down_after_one_call() -> Iterator[tuple[int, Callable[[], None]]]:
    """Yield a port, and what returns once it was called, in vain, and takes no more calls.

    Nobody but a Receiver gets the port meanwhile.
    """
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.settimeout(PATIENCE)
        listener.bind((ports.LOOPBACK, 0))
        listener.listen()

        def called() -> None:
            listener.accept()[0].close()
            listener.shutdown(socket.SHUT_RDWR)  # it stays bound

        yield listener.getsockname()[1], called
