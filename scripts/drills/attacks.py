"""I/O: the attacks of somebody without a key, over real sockets. Each is bounded in number and in time."""

from __future__ import annotations

import itertools
import selectors
import socket
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    Address = tuple[str, int]

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
HALF_A_HEAD = b"GET / HTTP/1.1\r\nHost: a\r\nX-Drip: "
HALF_A_BODY = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nx"
CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"

_TIMEOUT = 30.0
_PIECE = b"x" * (64 << 10)


@contextmanager
def held_open(
    address: Address, count: int, beginnings: Sequence[bytes] = (b"",)
) -> Iterator[list[socket.socket]]:
    """Hold *count* connections open, each with one of the *beginnings* sent, in turns."""
    with ExitStack() as stack:
        held = []
        for beginning in itertools.islice(itertools.cycle(beginnings), count):
            client = stack.enter_context(socket.create_connection(address, timeout=_TIMEOUT))
            with suppress(OSError):
                client.sendall(beginning)
            held.append(client)
        yield held


@contextmanager
def dripping(
    address: Address, count: int, beginnings: Sequence[bytes], *, rate: float
) -> Iterator[None]:
    """Hold *count* connections open and send *rate* bytes a second in all, replacing what is closed."""
    over = threading.Event()
    with held_open(address, count, beginnings) as held:
        for client in held:
            client.setblocking(False)

        def drip() -> None:
            for number in itertools.cycle(range(len(held))):
                if over.wait(1 / rate):
                    return
                try:
                    held[number].send(b"x")
                except BlockingIOError:
                    continue
                except OSError:
                    held[number].close()
                    with suppress(OSError):
                        held[number] = socket.create_connection(address, timeout=_TIMEOUT)
                        held[number].send(beginnings[number % len(beginnings)])
                        held[number].setblocking(False)

        dripper = threading.Thread(target=drip, daemon=True)
        dripper.start()
        try:
            yield
        finally:
            over.set()
            dripper.join()
            for client in held:
                client.close()


def large_bodies(  # noqa: PLR0913 - keywords
    address: Address,
    count: int,
    size: int,
    *,
    seconds: float,
    chunked: bool = False,
    close: bool = False,
) -> list[bytes]:
    """Send *count* bodies of *size* bytes at once, as fast as they are taken, for at most *seconds*.

    Return what each was answered, as far as it was; to be back before *seconds*, ask to *close*.
    """
    head = f"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n".encode()
    if chunked:
        head = CHUNKED + b"%x\r\n" % size
    if close:
        head = head.replace(b"Host: a\r\n", b"Host: a\r\nConnection: close\r\n")
    answers = [b""] * count
    until = time.monotonic() + seconds
    with ExitStack() as stack, selectors.DefaultSelector() as selector:
        left = [size] * count
        for number in range(count):
            client = stack.enter_context(socket.create_connection(address, timeout=_TIMEOUT))
            client.sendall(head)
            client.setblocking(False)
            both = selectors.EVENT_READ | selectors.EVENT_WRITE
            selector.register(client, both, number)
        while selector.get_map() and (wait := until - time.monotonic()) > 0:
            for key, events in selector.select(min(wait, 1.0)):
                client, number = cast("socket.socket", key.fileobj), key.data
                if not _exchange(client, number, events, left, answers):
                    selector.unregister(client)
                elif not left[number]:
                    if chunked:
                        with suppress(OSError):
                            client.send(b"\r\n0\r\n\r\n")
                    selector.modify(client, selectors.EVENT_READ, number)
    return answers


def _exchange(
    client: socket.socket, number: int, events: int, left: list[int], answers: list[bytes]
) -> bool:
    """Go on with one body; False when all is over with it."""
    try:
        if events & selectors.EVENT_READ:
            answer = client.recv(65536)
            answers[number] += answer
            return bool(answer)
        if events & selectors.EVENT_WRITE and left[number]:
            left[number] -= client.send(_PIECE[: left[number]])
    except BlockingIOError:
        pass
    except OSError:
        return False
    return True


def answer_to(address: Address, request: bytes, *, seconds: float = _TIMEOUT) -> bytes:
    """Send *request*, as far as it is taken, and return all that is answered."""
    with socket.create_connection(address, timeout=seconds) as client:
        with suppress(OSError):
            client.sendall(request)
        answer = b""
        with suppress(OSError):
            while piece := client.recv(65536):
                answer += piece
        return answer


def large_heads(
    address: Address, count: int, size: int, *, seconds: float = _TIMEOUT
) -> list[bytes]:
    """Send *count* requests with heads of *size* bytes at once, then read their answers."""
    line = b"X-Large: " + b"a" * 4000 + b"\r\n"
    request = GET[:-2] + line * (size // len(line)) + b"Connection: close\r\n\r\n"
    answers = []
    with ExitStack() as stack:
        clients = [
            stack.enter_context(socket.create_connection(address, timeout=seconds))
            for _ in range(count)
        ]
        # All but the last byte first, so that all are held at the same time.
        for client in clients:
            with suppress(OSError):
                client.sendall(request[:-1])
        for client in clients:
            with suppress(OSError):
                client.sendall(request[-1:])
        for client in clients:
            try:
                answers.append(client.recv(4096))
            except OSError as exc:
                answers.append(repr(exc).encode())
    return answers


def one_byte_chunks(size: int) -> bytes:
    """Return a request of about *size* bytes whose body comes in chunks of one byte."""
    return CHUNKED + b"1\r\nx\r\n" * (size // 6) + b"0\r\n\r\n"


def endless_chunk_line(size: int) -> bytes:
    return CHUNKED + b"1;" + b"a" * size


def endless_trailers(size: int) -> bytes:
    return CHUNKED + b"0\r\n" + b"a: b\r\n" * (size // 6)


def spaces(count: int) -> bytes:
    """Return a request whose one header makes a backtracking expression try every split of it."""
    return GET[:-2] + b"X-Spaces: " + b" " * count + b"\x01\r\n\r\n"
