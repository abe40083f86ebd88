"""Loopback I/O. A name server for the addresses of a few names, over UDP and TCP (RFC 1035, 7766)."""

from __future__ import annotations

import random
import socket
import socketserver
import struct
import threading
from collections import Counter
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Collection

_PORT = 53  # glibc knows no other
_MOST_UDP_BYTES = 512  # of a question without EDNS
_HEADER = struct.Struct("!6H")
_ANSWER, _TRUNCATED, _FAILED, _NO_SUCH_NAME = 0x8180, 0x0200, 2, 3
_ADDRESS = 1  # of IPv4


class NameServer:
    """Answers at `address`, as a context manager. A name without addresses fails as if all else had."""

    def __init__(self) -> None:
        # Of 127/8, so that several may run at one time.
        numbers = [random.randint(1, 254) for _ in range(2)]  # noqa: S311 - no secret
        self.address = "127.53.{}.{}".format(*numbers)
        self.asked: Counter[str] = Counter()  # by protocol
        self.failed = 0
        self._addresses: dict[str, Collection[str]] = {}
        server = self

        class Datagrams(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                question, sending = self.request
                answer = server.answer(question, "udp")
                if len(answer) > _MOST_UDP_BYTES:
                    # The header and the question alone.
                    flags = struct.pack("!H", _ANSWER | _TRUNCATED)
                    counts = struct.pack("!4H", 1, 0, 0, 0)
                    answer = question[:2] + flags + counts + question[_HEADER.size :]
                sending.sendto(answer, self.client_address)

        class Connections(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                while size := self._taken(2):
                    question = self._taken(int.from_bytes(size, "big"))
                    answer = server.answer(question, "tcp")
                    self.request.sendall(len(answer).to_bytes(2, "big") + answer)

            def _taken(self, count: int) -> bytes:
                taken: bytes = self.request.recv(count, socket.MSG_WAITALL)
                return taken

        where = (self.address, _PORT)
        self._servers = (
            socketserver.ThreadingUDPServer(where, Datagrams),
            socketserver.ThreadingTCPServer(where, Connections),
        )

    def point(self, name: str, addresses: Collection[str]) -> None:
        self._addresses[name] = addresses

    def answer(self, question: bytes, protocol: str) -> bytes:
        """Answer a question with all addresses that there are, however many."""
        self.asked[protocol] += 1
        name, kind = _asked(question)
        addresses = self._addresses.get(name)
        code = _NO_SUCH_NAME if addresses is None else 0 if addresses else _FAILED
        self.failed += code == _FAILED
        told = [*addresses] if addresses and kind == _ADDRESS else []
        head = _HEADER.pack(int.from_bytes(question[:2], "big"), _ANSWER | code, 1, len(told), 0, 0)
        end = question.index(0, _HEADER.size) + 5
        records = (
            # The name stands in the question; no time to live.
            struct.pack("!3HIH", 0xC000 | _HEADER.size, _ADDRESS, 1, 0, 4) + socket.inet_aton(each)
            for each in told
        )
        return head + question[_HEADER.size : end] + b"".join(records)

    def __enter__(self) -> Self:
        for server in self._servers:
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()


def _asked(question: bytes) -> tuple[str, int]:
    """Return the name and the type that are asked for."""
    labels, at = [], _HEADER.size
    while length := question[at]:
        labels.append(question[at + 1 : at + 1 + length].decode())
        at += 1 + length
    return ".".join(labels), int.from_bytes(question[at + 1 : at + 3], "big")
