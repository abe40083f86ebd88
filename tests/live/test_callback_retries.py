"""The builder's own callback, to a receiver that is not there at first."""

from __future__ import annotations

import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING

from stack import ports

from .callbacks import Receiver
from .caller import PATIENCE, build, signature
from .test_building import running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .conftest import StartFunction

CALLED = {"callback_hosts": ports.LOOPBACK, "callback_private": "true"}


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


@contextmanager
def down_after_one_call() -> Iterator[tuple[int, Callable[[], None]]]:
    """A port, and what returns once it was called, in vain, and takes no more calls.

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
