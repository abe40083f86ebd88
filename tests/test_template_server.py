"""The template as faas-cli stages it, run as a process of its own and spoken to over real sockets."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import threading
from contextlib import suppress
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest
from benchmark import usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TEMPLATE = Path(__file__).parent.parent / "template" / "python3-http"
MIB = 1 << 20


class Served:
    """A staged template that runs."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.port = 0
        self._connections: list[HTTPConnection] = []

    def line(self) -> str:
        """Return the next line the process writes."""
        assert self.process.stderr
        return self.process.stderr.readline().rstrip("\n")

    def wait_for(self, text: str) -> None:
        while (line := self.line()) != text:
            assert line, f"The process ended before it wrote {text!r}."

    def wait_until_ready(self) -> None:
        line = self.line()
        listening = re.fullmatch(r"Listening on 127\.0\.0\.1:(\d+)", line)
        assert listening, line
        self.port = int(listening[1])

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=60)

    def request(self, method: str, path: str, body: object = None) -> HTTPResponse:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        self._connections.append(connection)
        connection.request(method, path, body)  # type: ignore[arg-type]
        return connection.getresponse()

    def close(self) -> None:
        for connection in self._connections:
            connection.close()
        self.process.kill()
        self.process.wait()
        assert self.process.stderr
        self.process.stderr.close()

    def page_faults(self) -> int:
        return usage.of_process(self.process.pid).faults

    def memory(self, name: str) -> int:
        """Return VmRSS or VmHWM of the process, in bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(rf"{name}:\s+(\d+) kB", status)
        assert found
        return int(found[1]) << 10


class Serve(Protocol):
    def __call__(self, handler: str, *, ready: bool = True, **settings: str) -> Served: ...


def lay_out(home: Path, handler: str) -> Path:
    shutil.copytree(TEMPLATE, home, ignore=shutil.ignore_patterns("__pycache__"))
    (home / "function" / "__init__.py").touch()
    (home / "function" / "handler.py").write_text(textwrap.dedent(handler))
    return home


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    running: list[Served] = []

    def start(handler: str, *, ready: bool = True, **settings: str) -> Served:
        home = lay_out(tmp_path / f"app-{len(running)}", handler)
        environment = {"PATH": os.environ["PATH"], "host": "127.0.0.1", "port": "0"} | settings
        served = Served(
            subprocess.Popen(
                [sys.executable, "-B", "index.py"],
                cwd=home,
                env=environment,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
        running.append(served)
        if ready:
            served.wait_until_ready()
        return served

    yield start
    for served in running:
        served.close()


@pytest.fixture
def gate(tmp_path: Path) -> tuple[str, Callable[[], None]]:
    """Return a path whose opening for reading waits for the function that is returned with it."""
    fifo = tmp_path / "gate"
    os.mkfifo(fifo)

    def open_gate() -> None:
        fifo.open("w").close()

    return str(fifo), open_gate


STREAM_THROUGH_A_GATE = """
    import os, sys, threading

    def drain():
        print("drain()", file=sys.stderr, flush=True)

    def handle(event, context):
        yield "first"
        open(os.environ["gate"]).close()
        yield "last"
"""

# Answers once the gate is opened, with whether it thought its client had gone.
WAITS_FOR_GATE = """
    import os, sys

    def handle(event, context):
        print("running", file=sys.stderr, flush=True)
        open(os.environ["gate"]).close()
        return str(event.client_disconnected())
"""

# Answers only once it is told to, or never.
WAITS_FOR_STOP = """
    import sys, threading

    stopping = threading.Event()

    def stop():
        stopping.set()

    def handle(event, context):
        print("running", file=sys.stderr, flush=True)
        stopping.wait()
        return "stopped"
"""

# Has work that no request waits for.
WORKS_ON = """
    import os, sys, threading

    def work():
        open(os.environ["gate"]).close()

    worker = threading.Thread(target=work, daemon=True)

    def start():
        worker.start()

    def idle():
        return not worker.is_alive()

    def drain():
        print("drain()", file=sys.stderr, flush=True)

    def stop():
        print("stop()", file=sys.stderr, flush=True)

    def handle(event, context):
        return "handled"
"""

LENGTH_OF_BODY = """
    def handle(event, context):
        return f"{event.method} {len(event.buffer)}"
"""

# More than any buffers between server and client hold.
LARGE_ANSWER = """
    import sys

    def handle(event, context):
        print("running", file=sys.stderr, flush=True)
        return "x" * (12 << 20) + "the end"
"""


def read_all(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(65536), b""))


def iter_until(served: Served, word: str) -> str:
    """Return the next line the process writes that has *word* in it."""
    while word not in (line := served.line()):
        assert line
    return line


def slices(body: bytes, size: int) -> Iterator[bytes]:
    return (body[start : start + size] for start in range(0, len(body), size))


def chunked(body: bytes, size: int) -> Iterator[bytes]:
    """Yield a body as of-watchdog forwards it: in the transfer coding of RFC 9112, section 7.1."""
    for piece in slices(body, size):
        yield b"%x\r\n%b\r\n" % (len(piece), piece)
    yield b"0\r\n\r\n"


def test_the_first_chunk_arrives_before_the_handler_ends(
    serve: Serve, gate: tuple[str, Callable[[], None]]
) -> None:
    path, open_gate = gate
    response = serve(STREAM_THROUGH_A_GATE, gate=path).request("GET", "/")

    assert response.read(5) == b"first"
    open_gate()
    assert response.read() == b"last"


def test_after_sigterm_a_running_stream_ends_and_new_requests_are_refused(
    serve: Serve, gate: tuple[str, Callable[[], None]]
) -> None:
    path, open_gate = gate
    served = serve(STREAM_THROUGH_A_GATE, gate=path)
    running = served.request("GET", "/")
    assert running.read(5) == b"first"

    served.process.terminate()
    served.wait_for("drain()")
    refused = served.request("POST", "/", b"work")

    assert refused.status == 503
    assert refused.headers["Retry-After"] == "5"
    assert refused.headers["Connection"] == "close"
    assert json.load(refused)["status"] == "failed"
    open_gate()
    assert running.read() == b"last"
    assert served.process.wait() == 0


def test_an_idle_process_leaves_at_sigterm(serve: Serve) -> None:
    served = serve(LENGTH_OF_BODY)
    with served.connect():
        served.process.terminate()

        assert served.process.wait() == 0


def test_stays_until_the_handler_is_idle_too(
    serve: Serve, gate: tuple[str, Callable[[], None]]
) -> None:
    path, open_gate = gate
    served = serve(WORKS_ON, gate=path, shutdown_grace="1h")
    served.process.terminate()
    served.wait_for("drain()")
    assert served.request("GET", "/").status == 503

    open_gate()

    assert served.process.wait() == 0
    assert served.process.stderr
    assert "stop()" not in served.process.stderr.read()


def test_a_handler_that_is_never_idle_is_told_to_stop(
    serve: Serve, gate: tuple[str, Callable[[], None]]
) -> None:
    path, _ = gate
    served = serve(WORKS_ON, gate=path, shutdown_grace="0s")
    served.process.terminate()
    served.wait_for("stop()")

    assert served.process.wait() == 0


def test_leaves_in_order_though_nobody_reads_its_log(serve: Serve) -> None:
    served = serve(WAITS_FOR_STOP, shutdown_grace="0s")
    with served.connect() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        served.wait_for("running")
        assert served.process.stderr
        served.process.stderr.close()
        served.process.terminate()

        assert read_all(connection).endswith(b"stopped")
    assert served.process.wait() == 0


def test_stays_for_shutdown_delay_to_refuse_though_idle(serve: Serve) -> None:
    served = serve(LENGTH_OF_BODY, shutdown_delay="1h", shutdown_grace="1h")
    served.process.terminate()
    served.wait_for("SIGTERM: refusing new requests, finishing running ones")

    assert served.request("GET", "/").status == 503


def test_what_still_runs_after_the_grace_is_told_to_stop(serve: Serve) -> None:
    served = serve(WAITS_FOR_STOP, shutdown_grace="0s")
    with served.connect() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        served.wait_for("running")
        served.process.terminate()

        assert read_all(connection).endswith(b"stopped")
    assert served.process.wait() == 0


def test_a_second_signal_cuts_the_grace_short(serve: Serve) -> None:
    served = serve(WAITS_FOR_STOP, shutdown_grace="1h")
    with served.connect() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        served.wait_for("running")
        served.process.terminate()
        served.wait_for("SIGTERM: refusing new requests, finishing running ones")
        served.process.send_signal(signal.SIGINT)

        assert read_all(connection).endswith(b"stopped")
    assert served.process.wait() == 0


def test_the_process_leaves_though_a_handler_and_its_threads_hang(serve: Serve) -> None:
    served = serve(
        """
        import sys, threading

        def stop():
            raise RuntimeError("a hook that fails")

        def handle(event, context):
            threading.Thread(target=threading.Event().wait, daemon=False).start()
            print("running", file=sys.stderr, flush=True)
            threading.Event().wait()
        """,
        shutdown_grace="0s",
    )
    with served.connect() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        served.wait_for("running")
        served.process.terminate()

        assert served.process.wait() == 0


def test_a_handler_can_tell_that_its_client_hung_up(serve: Serve) -> None:
    served = serve(
        """
        import sys, threading

        def handle(event, context):
            print("running", file=sys.stderr, flush=True)
            while not event.client_disconnected():
                threading.Event().wait(0.01)
            print("noticed", file=sys.stderr, flush=True)
        """
    )
    with served.connect() as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody")
        served.wait_for("running")

    served.wait_for("noticed")


def test_a_stream_is_closed_when_its_client_hung_up(serve: Serve) -> None:
    served = serve(
        """
        import sys

        def handle(event, context):
            try:
                while True:
                    yield "heartbeat"
            finally:
                print("closed", file=sys.stderr, flush=True)
        """
    )
    with served.connect() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        connection.recv(1)

    served.wait_for("closed")


def test_a_stream_that_nobody_reads_is_closed(serve: Serve) -> None:
    served = serve(
        """
        import sys

        def handle(event, context):
            try:
                while True:
                    yield "x" * 65536
            finally:
                print("gone:", event.client_disconnected(), file=sys.stderr, flush=True)
        """,
        send_timeout="1s",
    )
    with served.connect() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")

        served.wait_for("gone: True")


def test_a_stream_that_is_read_in_drips_is_closed(serve: Serve) -> None:
    served = serve(
        """
        import sys

        def handle(event, context):
            try:
                while True:
                    yield "x" * 65536
            finally:
                print("gone:", event.client_disconnected(), file=sys.stderr, flush=True)
        """,
        send_timeout="1s",
        min_body_rate="1000000000",
    )
    stopped = threading.Event()
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", served.port))
        connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")

        def drip() -> None:
            with suppress(OSError):
                while not stopped.wait(0.1) and connection.recv(4096):
                    pass

        dripping = threading.Thread(target=drip)
        dripping.start()
        try:
            served.wait_for("gone: True")
        finally:
            stopped.set()
            dripping.join()


def test_an_answer_that_nobody_reads_does_not_keep_the_process(serve: Serve) -> None:
    served = serve(LARGE_ANSWER, send_timeout="1s", shutdown_grace="1h")
    with served.connect() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        served.wait_for("running")
        served.process.terminate()

        assert served.process.wait() == 0


def test_a_client_that_reads_slowly_is_not_given_up(serve: Serve) -> None:
    served = serve(LARGE_ANSWER, send_timeout="1s")
    with served.connect() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        received = 0
        # In all this time the socket is not reported as writable once.
        for _ in range(15):
            received += len(connection.recv(65536))
            threading.Event().wait(0.2)
        answer = read_all(connection)

    assert received + len(answer) > 12 * MIB
    assert answer.endswith(b"the end")


@pytest.mark.parametrize("chunk", [1, 7, 4096, 32768])
def test_collects_a_chunked_body(serve: Serve, chunk: int) -> None:
    body = bytes(range(256)) * 40
    served = serve("def handle(event, context): return event.body")
    with served.connect() as connection:
        connection.sendall(
            b"PUT / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        connection.sendall(b"".join(chunked(body, chunk)))

        assert read_all(connection).partition(b"\r\n\r\n")[2] == body


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("transfer", ["Content-Length", "chunked"])
@pytest.mark.parametrize(
    ("size", "times"),
    [
        pytest.param(96 * MIB, 1, id="a large body"),
        # glibc would learn from the first to keep the others on its heap.
        pytest.param(24 * MIB, 4, id="middling bodies one after another"),
    ],
)
def test_a_body_is_in_memory_once_and_gone_afterwards(
    serve: Serve, transfer: str, size: int, times: int
) -> None:
    # With one thread, an answer says that the request before it is over and done with.
    served = serve(LENGTH_OF_BODY, threads="1")
    served.request("POST", "/", b"warm").read()
    idle = served.memory("VmRSS")
    body = b"x" * size

    for _ in range(times):
        sent = body if transfer == "Content-Length" else slices(body, 32768)
        assert served.request("POST", "/", sent).read() == b"POST %d" % size
        assert served.request("POST", "/", b"next").read() == b"POST 4"

    # Room for what the server receives into and for Python's own heap, none for half a second copy.
    assert served.memory("VmHWM") - idle < size + 12 * MIB
    assert served.memory("VmRSS") - idle < 12 * MIB


def refused_by_limit(answer: bytes, limit: int) -> bool:
    head, _, body = answer.partition(b"\r\n\r\n")
    return (
        head.startswith(b"HTTP/1.1 413 ")
        and b"\r\nConnection: close\r\n" in head
        and str(limit) in json.loads(body)["error"]
    )


@pytest.mark.parametrize("size", [1, 999, 1000])
def test_takes_a_body_up_to_the_limit(serve: Serve, size: int) -> None:
    served = serve(LENGTH_OF_BODY, max_body_bytes="1000")

    assert served.request("POST", "/", b"x" * size).read() == b"POST %d" % size


@pytest.mark.parametrize("size", [1001, 16 * MIB])
@pytest.mark.parametrize("transfer", ["Content-Length", "chunked"])
def test_a_client_that_writes_everything_first_still_reads_why_its_body_was_refused(
    serve: Serve, transfer: str, size: int
) -> None:
    served = serve(LENGTH_OF_BODY, max_body_bytes="1000")
    body = b"x" * size
    length = f"Content-Length: {size}" if transfer != "chunked" else "Transfer-Encoding: chunked"
    with served.connect() as connection:
        connection.sendall(f"POST / HTTP/1.1\r\nHost: a\r\n{length}\r\n\r\n".encode())
        for piece in chunked(body, 32768) if transfer == "chunked" else [body]:
            connection.sendall(piece)

        assert refused_by_limit(read_all(connection), 1000)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_refused_body_takes_no_memory(serve: Serve) -> None:
    served = serve(LENGTH_OF_BODY, max_body_bytes=str(MIB))
    served.request("POST", "/", b"warm").read()
    idle = served.memory("VmRSS")

    # http.client sends what it iterates over in chunks.
    assert served.request("POST", "/", slices(b"x" * (64 * MIB), 32768)).status == 413
    assert served.memory("VmHWM") - idle < 12 * MIB


def test_a_client_that_asks_first_is_refused_before_it_sends(serve: Serve) -> None:
    served = serve(LENGTH_OF_BODY, max_body_bytes="1000")
    with served.connect() as connection:
        connection.sendall(
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\nExpect: 100-continue\r\n\r\n"
        )

        assert refused_by_limit(read_all(connection), 1000)


def test_what_follows_a_refusal_is_not_taken_for_a_request(serve: Serve) -> None:
    served = serve(LENGTH_OF_BODY, max_body_bytes="1000")
    with served.connect() as connection:
        connection.sendall(
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\nExpect: 100-continue\r\n\r\n"
            b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
        )

        assert read_all(connection).count(b"HTTP/1.1 ") == 1


def test_a_client_that_asks_first_is_told_to_go_on(serve: Serve) -> None:
    served = serve(LENGTH_OF_BODY)
    with served.connect() as connection:
        connection.sendall(
            b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
            b"Content-Length: 4\r\nExpect: 100-continue\r\n\r\n"
        )
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"body")

        assert read_all(connection).endswith(b"\r\n\r\nPOST 4")


def test_as_many_requests_run_at_once_as_there_are_threads(serve: Serve) -> None:
    served = serve(
        """
        import threading

        together = threading.Barrier(12)

        def handle(event, context):
            together.wait()
            return "together"
        """,
        threads="12",
    )
    answers: list[bytes] = []
    clients = [
        threading.Thread(target=lambda: answers.append(served.request("GET", "/").read()))
        for _ in range(12)
    ]
    for client in clients:
        client.start()
    for client in clients:
        client.join()

    assert answers == [b"together"] * 12


def test_start_is_called_before_the_first_request_is_served(serve: Serve) -> None:
    served = serve(
        """
        started = []

        def start():
            started.append("once")

        def handle(event, context):
            return str(started)
        """
    )

    assert served.request("GET", "/").read() == b"['once']"


def test_a_handler_refuses_to_start_with_a_sentence(serve: Serve) -> None:
    served = serve(
        """
        def start():
            raise SystemExit("Something an operator must provide is missing.")
        """,
        ready=False,
    )

    assert served.line() == "Something an operator must provide is missing."
    assert served.process.wait() == 1


def test_callers_may_connect_while_the_handler_is_still_being_imported(
    serve: Serve, gate: tuple[str, Callable[[], None]]
) -> None:
    path, open_gate = gate
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    served = serve(
        """
        import os, sys

        print("importing", file=sys.stderr, flush=True)
        open(os.environ["gate"]).close()

        def handle(event, context):
            return "served"
        """,
        ready=False,
        port=str(port),
        gate=path,
    )
    served.wait_for("importing")
    served.port = port
    with served.connect() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        open_gate()

        assert read_all(connection).endswith(b"\r\n\r\nserved")


def test_a_client_that_closes_its_side_gets_its_answer(
    serve: Serve, gate: tuple[str, Callable[[], None]]
) -> None:
    path, open_gate = gate
    served = serve(WAITS_FOR_GATE, gate=path)
    with served.connect() as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody")
        connection.shutdown(socket.SHUT_WR)
        served.wait_for("running")
        # Long enough for every look at the connection but those that come by the second.
        threading.Event().wait(1.5)
        open_gate()
        answer = read_all(connection)

    # Any number of interim answers, which every client of HTTP/1.1 skips, and then the one.
    assert re.fullmatch(
        rb"(HTTP/1\.1 100 Continue\r\n\r\n)+HTTP/1\.1 200 OK\r\n.*\r\n\r\nFalse", answer, re.DOTALL
    )


def test_a_stream_goes_on_to_a_client_that_closed_its_side(
    serve: Serve, gate: tuple[str, Callable[[], None]]
) -> None:
    path, open_gate = gate
    served = serve(STREAM_THROUGH_A_GATE, gate=path)
    with served.connect() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        connection.shutdown(socket.SHUT_WR)
        threading.Event().wait(0.5)
        open_gate()
        answer = read_all(connection)

    assert b"first" in answer
    assert answer.endswith(b"4\r\nlast\r\n0\r\n\r\n")


def test_a_client_of_http_1_0_that_closes_its_side_gets_its_answer(serve: Serve) -> None:
    served = serve(LENGTH_OF_BODY)
    with served.connect() as connection:
        connection.sendall(b"POST / HTTP/1.0\r\nContent-Length: 4\r\n\r\nbody")
        connection.shutdown(socket.SHUT_WR)

        assert read_all(connection).endswith(b"POST 4")


HEARTBEAT_TO_THE_HALF_CLOSED = """
    import sys, threading

    def handle(event, context):
        try:
            yield f"{event.client_half_closed()} "
            while not event.client_half_closed():
                threading.Event().wait(0.01)
            yield "True "
            for _ in range(1000):
                threading.Event().wait(0.01)
                if event.client_disconnected():
                    return
            yield "still there"
        finally:
            print("gone:", event.client_disconnected(), file=sys.stderr, flush=True)
    """


def test_a_handler_can_tell_in_a_stream_whose_client_hung_up_when_it_had_read_all(
    serve: Serve,
) -> None:
    served = serve(HEARTBEAT_TO_THE_HALF_CLOSED)
    with served.connect() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        received = b""
        while b"False " not in received:
            received += connection.recv(4096)

    served.wait_for("gone: True")


@pytest.mark.parametrize(
    ("rest", "statuses"),
    [
        pytest.param(b"", [b"200", b"200"], id="two"),
        pytest.param(b"GET / HT", [b"200", b"200", b"400"], id="half a head"),
        pytest.param(
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx",
            [b"200", b"200", b"400"],
            id="half a body",
        ),
    ],
)
def test_every_request_is_answered_that_came_before_its_client_closed_its_side(
    serve: Serve, rest: bytes, statuses: list[bytes]
) -> None:
    served = serve(LENGTH_OF_BODY)
    request = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody"
    with served.connect() as connection:
        connection.sendall(2 * request + rest)
        connection.shutdown(socket.SHUT_WR)

        answered = re.findall(rb"HTTP/1.1 (\d+) ", read_all(connection))

    assert [status for status in answered if status != b"100"] == statuses


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 3000])
def test_a_hang_up_is_noticed_behind_whatever_else_was_sent(serve: Serve, sent: bytes) -> None:
    served = serve(
        """
        import sys, threading

        def handle(event, context):
            print("running", file=sys.stderr, flush=True)
            while not event.client_disconnected():
                threading.Event().wait(0.01)
            print("noticed", file=sys.stderr, flush=True)
        """
    )
    with served.connect() as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody" + sent)
        served.wait_for("running")

    served.wait_for("noticed")


@pytest.mark.parametrize(
    "half",
    [
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nX-", id="a head"),
        pytest.param(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx", id="a body"),
        pytest.param(
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nx", id="a chunk"
        ),
    ],
)
def test_half_a_request_does_not_hold_up_the_shutdown(serve: Serve, half: bytes) -> None:
    served = serve(LENGTH_OF_BODY, shutdown_grace="1h", shutdown_delay="300ms")
    with served.connect() as connection:
        connection.sendall(half)
        threading.Event().wait(0.1)
        served.process.terminate()

        answer = read_all(connection)
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["reason"] == "interrupted"
        assert served.process.wait(10) == 0


@pytest.mark.parametrize(
    "half", [b"GET / HT", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx"]
)
def test_half_a_request_whose_client_closed_its_side_is_answered(serve: Serve, half: bytes) -> None:
    served = serve(LENGTH_OF_BODY)
    with served.connect() as connection:
        connection.sendall(half)
        connection.shutdown(socket.SHUT_WR)

        assert read_all(connection).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("milliseconds", [1, 20, 50, 100, 150])
def test_sigterm_at_any_time_is_a_good_end(tmp_path: Path, milliseconds: int) -> None:
    home = lay_out(tmp_path / "app", LENGTH_OF_BODY)
    # It starts with the signal blocked, from its first moment.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        process = subprocess.Popen(
            [sys.executable, "-B", "index.py"],
            cwd=home,
            env={"PATH": os.environ["PATH"], "host": "127.0.0.1", "port": "0"},
            stderr=subprocess.DEVNULL,
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    threading.Event().wait(milliseconds / 1000)
    process.terminate()

    assert process.wait(30) == 0


@pytest.mark.parametrize("expect", ["100-continue", "100-Continue"])
@pytest.mark.parametrize("body", ["Content-Length: 0\r\n", ""])
def test_a_client_that_asks_first_and_has_no_body_is_answered(
    serve: Serve, expect: str, body: str
) -> None:
    served = serve(LENGTH_OF_BODY)
    with served.connect() as connection:
        head = f"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{body}Expect: {expect}\r\n\r\n"
        connection.sendall(head.encode())

        assert read_all(connection).endswith(b"POST 0")


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        ("GET / HTTP/1.1\r\nHost: <script>", 400),
        ("FOO / HTTP/1.1\r\nHost: a", 501),
        ("GET / HTTP/2.0\r\nHost: a", 505),
        ("GET /" + "x" * 70000 + " HTTP/1.1\r\nHost: a", 431),
    ],
)
def test_what_is_no_request_gets_json(serve: Serve, request_line: str, status: int) -> None:
    served = serve(LENGTH_OF_BODY)
    with served.connect() as connection:
        connection.sendall(f"{request_line}\r\n\r\n".encode())
        head, _, body = read_all(connection).partition(b"\r\n\r\n")

    assert head.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"\r\nContent-Type: application/json\r\n" in head
    assert json.loads(body)["status"] == "failed"


def test_a_handler_that_raises_gets_a_500_in_json(serve: Serve) -> None:
    served = serve("def handle(event, context): return 1 / 0")
    response = served.request("GET", "/")

    assert response.status == 500
    assert json.load(response)["reason"] == "internal"
    assert "ZeroDivisionError" in iter_until(served, "ZeroDivisionError")


def test_the_lock_says_when_the_function_answers(
    serve: Serve, tmp_path: Path, gate: tuple[str, Callable[[], None]]
) -> None:
    path, open_gate = gate
    lock = tmp_path / ".lock"
    lock.touch()  # of an earlier start
    served = serve(
        """
        import os, sys

        print("importing", file=sys.stderr, flush=True)
        open(os.environ["gate"]).close()

        def drain():
            print("lock:", os.path.exists(os.environ["TMPDIR"] + "/.lock"), file=sys.stderr, flush=True)

        def handle(event, context):
            return ""
        """,
        ready=False,
        gate=path,
        suppress_lock="true",
        TMPDIR=str(tmp_path),
        shutdown_delay="1h",
        shutdown_grace="1h",
    )
    served.wait_for("importing")
    assert not lock.exists()
    open_gate()
    served.wait_until_ready()
    assert lock.exists()

    served.process.terminate()
    served.wait_for("lock: False")


def test_without_being_asked_no_lock_is_written(serve: Serve, tmp_path: Path) -> None:
    serve(LENGTH_OF_BODY, TMPDIR=str(tmp_path))

    assert not (tmp_path / ".lock").exists()


def test_a_lock_that_cannot_be_written_ends_with_a_sentence(serve: Serve, tmp_path: Path) -> None:
    served = serve(
        LENGTH_OF_BODY, ready=False, suppress_lock="true", TMPDIR=str(tmp_path / "missing")
    )

    assert served.line().startswith(f"Cannot write {tmp_path}/missing/.lock: No such file")
    assert served.process.wait() == 2


@pytest.mark.parametrize("transfer", ["Content-Length", "chunked"])
def test_a_large_body_is_handed_over_while_it_arrives(serve: Serve, transfer: str) -> None:
    served = serve(
        """
        import hashlib, sys

        class Digest:
            def __init__(self):
                self.digest, self.size = hashlib.sha256(), 0

            def update(self, piece):
                self.digest.update(piece)
                self.size += len(piece)
                print("piece", file=sys.stderr, flush=True)

        def arriving(head):
            return Digest() if head.path != "/not-wanted" else None

        def handle(event, context):
            if event.arrived is None:
                return "nothing"
            assert event.arrived.size == len(event.buffer)
            return event.arrived.digest.hexdigest()
        """
    )
    body = os.urandom(12 * MIB)
    with served.connect() as connection:
        coding = f"Content-Length: {len(body)}"
        pieces: Iterator[bytes] = slices(body, 65536)
        if transfer == "chunked":
            coding, pieces = "Transfer-Encoding: chunked", chunked(body, 65536)
        head = f"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{coding}\r\n\r\n"
        connection.sendall(head.encode())
        for number, piece in enumerate(pieces):
            if number == 150:
                served.wait_for("piece")  # although the rest has not come
            connection.sendall(piece)

        assert read_all(connection).endswith(hashlib.sha256(body).hexdigest().encode())
    assert served.request("POST", "/", b"small").read() == b"nothing"
    assert served.request("POST", "/not-wanted", body).read() == b"nothing"


def test_a_body_costs_a_page_fault_for_each_huge_page(serve: Serve) -> None:
    huge_pages = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    if not huge_pages.exists() or "[never]" in huge_pages.read_text():
        pytest.skip("this machine has no huge pages")
    served = serve(LENGTH_OF_BODY)
    served.request("POST", "/", b"warm").read()
    before = served.page_faults()

    assert served.request("POST", "/", b"x" * (96 * MIB)).read() == b"POST %d" % (96 * MIB)
    assert served.page_faults() - before < 2500


def test_a_setting_that_makes_no_sense_ends_with_a_sentence(serve: Serve) -> None:
    served = serve(LENGTH_OF_BODY, ready=False, threads="none")

    assert served.line() == 'threads must be a whole number, not "none".'
    assert served.line() == ""
    assert served.process.wait() == 2


def test_a_taken_port_ends_with_a_sentence(serve: Serve) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        served = serve(LENGTH_OF_BODY, ready=False, port=str(port))

        assert served.line().startswith(
            f"Cannot listen on 127.0.0.1:{port}: Address already in use"
        )
        assert served.process.wait() == 2
