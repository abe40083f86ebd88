from __future__ import annotations

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from typing import TYPE_CHECKING

import pytest

from function.buildkit import Client, DaemonUnavailable, SolveFailed, SolveSpec, Trouble
from function.buildkit.image.content import KnownImages
from function.buildkit.progress.redactor import NOTHING_SECRET
from function.buildkit.rpc import liveness
from function.buildkit.rpc.silence import Silence
from function.buildkit.solve import solve as solving
from function.buildkit.solve.solve import Solve
from function.redaction import Redactor

from ...fake_buildkitd import Failure, Point, scripts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ...fake_buildkitd import Build, FakeBuildkitd

PATIENCE = 10.0
SHORT = 0.15
REF = "the build"
NAMES = ("registry.test/a:1", "registry.test/a:2")
STEP = "[1/1] RUN make"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(solving, "_TICK_SECONDS", 0.01)
    monkeypatch.setattr(solving, "_STATUS_GRACE_SECONDS", 0.05)
    monkeypatch.setattr(liveness, "_QUIET_SECONDS", 0.05)


def solve(
    daemon: FakeBuildkitd,
    *names: str,
    patience: float = PATIENCE,
    redactor: Redactor = NOTHING_SECRET,  # type: ignore[assignment] # its interface
    **options: object,
) -> Solve:
    spec = SolveSpec(ref=REF, names=names, **options)  # type: ignore[arg-type]
    return Solve(
        daemon.connections(patience=patience),
        daemon.channel,
        spec,
        {},
        shared_key="k",
        redactor=redactor,
        silence=Silence(),
        images=KnownImages(),
        patience=patience,
    )


def lines_of(solve: Solve) -> list[str]:
    return [line for lines in solve for line in lines]


class Running:
    """A step that prints a line, and runs until it may end."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.may_end = threading.Event()

    def __call__(self, build: Build) -> dict[str, str]:
        with build.step(STEP):
            build.prints(STEP, b"working\n")
            self.begun.set()
            build.wait_for(self.may_end)
        return {}


@pytest.fixture
def running(daemon: FakeBuildkitd) -> Running:
    daemon.solver.script = made = Running()
    return made


def test_a_build_is_told_of_and_ends_with_its_image(daemon: FakeBuildkitd) -> None:
    with closing(solve(daemon, *NAMES)) as build:
        lines = lines_of(build)
        result = build.result()

    assert lines[0] == "#1 [internal] load build definition from Dockerfile"
    assert result.platforms == ("linux/amd64",)
    assert result.size > 1000
    assert [step.name for step in build.steps if step.counted] == ["[1/1] COPY . /"]
    assert set(build.phases) == {"transfer", "build", "export", "push"}
    assert build.sent_bytes > 0
    assert build.warnings == ()


def test_a_build_without_a_name_ends_with_the_daemon(daemon: FakeBuildkitd) -> None:
    with closing(solve(daemon)) as build:
        lines = lines_of(build)

    assert lines[-1].startswith("#4 DONE ")
    assert set(build.phases) == {"transfer", "build"}


def test_the_daemons_warnings_are_the_builds(daemon: FakeBuildkitd) -> None:
    daemon.solver.script = scripts.warn
    with closing(solve(daemon)) as build:
        lines_of(build)

    assert [(warning.file, warning.line) for warning in build.warnings] == [("Dockerfile", 2)]


def test_a_push_is_answered_before_the_daemon_has_written_its_books(daemon: FakeBuildkitd) -> None:
    daemon.hold(Point.COMPLETE)
    ended = threading.Event()
    with closing(solve(daemon, *NAMES)) as build:
        build.when_ended(ended.set)
        lines_of(build)
        result = build.result()

    assert result.digest in daemon.content.blobs
    assert not ended.is_set()
    daemon.let_go(Point.COMPLETE)
    assert ended.wait(PATIENCE)
    assert daemon.solver.answered == [REF]  # close left it alone


def test_an_image_is_described_while_it_is_pushed(daemon: FakeBuildkitd) -> None:
    pushing, may_go_on = threading.Event(), threading.Event()

    def script(build: Build) -> dict[str, str]:
        image = build.content.add_image()["digest"]
        with build.step(scripts.EXPORT):
            build.status(scripts.EXPORT, f"exporting manifest {image}")
            build.status(scripts.EXPORT, "pushing layers", done=False)
            pushing.set()
            build.wait_for(may_go_on)
            for name in NAMES:
                build.status(scripts.EXPORT, f"pushing manifest for {name}@{image}")
        return {"containerimage.digest": image}

    daemon.solver.script = script
    with closing(solve(daemon, *NAMES)) as build:
        lines = iter(build)
        while not daemon.content.reads:
            next(lines)
        assert pushing.is_set()
        may_go_on.set()
        list(lines)

        assert build.result().platforms == ("linux/amd64",)


def test_an_image_other_than_the_one_foretold_is_described_again(daemon: FakeBuildkitd) -> None:
    def script(build: Build) -> dict[str, str]:
        foretold = build.content.add_image(architecture="amd64")["digest"]
        image = build.content.add_image(architecture="arm64")["digest"]
        with build.step(scripts.EXPORT):
            build.status(scripts.EXPORT, f"exporting manifest {foretold}")
            build.status(scripts.EXPORT, "pushing layers")
        return {"containerimage.digest": image}

    daemon.solver.script = script
    with closing(solve(daemon, *NAMES)) as build:
        lines_of(build)

        assert build.result().platforms == ("linux/arm64",)


def test_a_push_that_fails_fails_the_build(daemon: FakeBuildkitd) -> None:
    def script(build: Build) -> dict[str, str]:
        image = build.content.add_image()["digest"]
        with build.step(scripts.EXPORT):
            build.status(scripts.EXPORT, f"exporting manifest {image}")
            build.status(scripts.EXPORT, "pushing layers")
            build.status(scripts.EXPORT, f"pushing manifest for {NAMES[0]}@{image}")
            raise Failure(f"failed to push {NAMES[1]}: unexpected status: 500")
        raise AssertionError

    daemon.solver.script = script
    with closing(solve(daemon, *NAMES)) as build:
        lines_of(build)

        with pytest.raises(SolveFailed, match="failed to push"):
            build.result()


def test_a_build_that_fails_says_where(daemon: FakeBuildkitd) -> None:
    daemon.solver.script = scripts.fail
    with closing(solve(daemon)) as build:
        lines = lines_of(build)

        with pytest.raises(SolveFailed) as raised:
            build.result()

    assert lines[-1].endswith("did not complete successfully: exit code: 7")
    step = raised.value.failed_step
    assert step
    assert (step.line, step.exit_code, step.output) == (2, 7, ("out", "err"))
    assert "jobs.go" not in str(raised.value)  # the daemon's insides


def test_a_refused_build_does_not_tell_of_the_one_that_is_there(
    daemon: FakeBuildkitd, running: Running
) -> None:
    """Begin a build whose Status does not end with the refused one."""
    with closing(solve(daemon)) as first:
        assert next(lines for lines in first if lines)
        with closing(solve(daemon)) as second:
            lines_of(second)

            with pytest.raises(SolveFailed, match=f"job ID {REF} exists"):
                second.result()

        running.may_end.set()
        lines_of(first)


def test_a_caller_is_not_left_without_a_word(daemon: FakeBuildkitd, running: Running) -> None:
    with closing(solve(daemon)) as build:
        lines = iter(build)
        assert next(said for said in lines if said)
        assert next(lines) == []
        assert next(lines) == []
    assert not running.may_end.is_set()


def test_output_without_an_end_of_line_is_told_at_the_end(daemon: FakeBuildkitd) -> None:
    def script(build: Build) -> dict[str, str]:
        build.begin(STEP)
        build.prints(STEP, b"unfinished")
        return {}

    daemon.solver.script = script
    with closing(solve(daemon)) as build:
        assert lines_of(build)[-1].endswith(" unfinished")


def test_secrets_are_redacted_in_all_that_is_told(daemon: FakeBuildkitd) -> None:
    secret = "hunter2-hunter2"

    def script(build: Build) -> dict[str, str]:
        name = f"[1/1] RUN echo {secret}"
        build.begin(name)
        build.prints(name, f"{secret}\n".encode())
        build.warn(name, f"mind {secret}")
        build.end(name, error=f"{secret} failed")
        raise Failure(f"{secret} failed", details=scripts.of_step(name, line=1))

    daemon.solver.script = script
    with closing(solve(daemon, redactor=Redactor((secret.encode(),)))) as build:
        lines = lines_of(build)

        with pytest.raises(SolveFailed) as raised:
            build.result()

    told = [*lines, str(raised.value), str(build.steps), str(build.warnings)]
    assert [each for each in told if "hunter2" in each] == []
    assert len(lines) == 4


def test_a_build_that_is_closed_is_cancelled_and_its_session_ended(
    daemon: FakeBuildkitd, running: Running
) -> None:
    build = solve(daemon)
    assert running.begun.wait(PATIENCE)

    build.close()
    build.close()

    daemon.wait_until(lambda: daemon.solver.abandoned == [REF])
    record = daemon.history.completed(REF)
    assert record
    assert record.error.message == "context canceled"
    daemon.wait_until(lambda: not daemon.sessions.open)


def test_the_session_of_a_build_ends_with_it(daemon: FakeBuildkitd) -> None:
    with closing(solve(daemon)) as build:
        lines_of(build)

        daemon.wait_until(lambda: not daemon.sessions.open)


def test_a_daemon_that_dies_is_unavailable(daemon: FakeBuildkitd, running: Running) -> None:
    with closing(solve(daemon)) as build:
        assert running.begun.wait(PATIENCE)
        daemon.die()
        lines_of(build)

        with pytest.raises(DaemonUnavailable) as raised:
            build.result()

    assert raised.value.trouble is Trouble.LOST


def test_a_daemon_that_is_not_there_is_unavailable(daemon: FakeBuildkitd) -> None:
    daemon.die()
    with closing(solve(daemon)) as build:
        lines_of(build)

        with pytest.raises(DaemonUnavailable) as raised:
            build.result()

    assert raised.value.trouble is Trouble.NO_CONNECTION


def test_a_daemon_that_falls_silent_is_given_up(daemon: FakeBuildkitd, running: Running) -> None:
    with closing(solve(daemon, patience=SHORT)) as build:
        assert running.begun.wait(PATIENCE)
        daemon.fall_silent()

        with pytest.raises(DaemonUnavailable) as raised:
            lines_of(build)

    assert raised.value.trouble is Trouble.SILENT


def test_a_proxy_that_has_lost_the_daemon_is_given_up_though_it_pings() -> None:
    greeting, ping = b"\0\0\0\x04\0\0\0\0\0", b"\0\0\x08\x06\0\0\0\0\0" + bytes(8)
    ended = threading.Event()

    def proxy(listening: socket.socket) -> None:
        peer, _ = listening.accept()
        with peer, suppress(OSError):
            peer.sendall(greeting)
            while not ended.wait(SHORT / 10):
                peer.sendall(ping)

    with socket.create_server(("127.0.0.1", 0)) as listening, ThreadPoolExecutor(1) as threads:
        threads.submit(proxy, listening)
        client = Client(f"tcp://127.0.0.1:{listening.getsockname()[1]}", patience=SHORT)
        with closing(client.solve(SolveSpec(ref=REF, names=()), {}, shared_key="k")) as build:
            try:
                with pytest.raises(DaemonUnavailable) as raised:
                    lines_of(build)
            finally:
                ended.set()

    assert raised.value.trouble is Trouble.SILENT


def test_a_build_that_has_nothing_to_say_is_waited_for(
    daemon: FakeBuildkitd, running: Running
) -> None:
    """Wait as long as the daemon answers when it is asked."""
    with closing(solve(daemon, patience=SHORT)) as build:
        lines = iter(build)
        until = time.monotonic() + 2 * SHORT
        while time.monotonic() < until:
            next(lines)
        running.may_end.set()

        assert list(lines)

    assert daemon.reached("Info") > 1


def test_a_build_with_secrets_takes_its_graph_through_the_gateway(daemon: FakeBuildkitd) -> None:
    with closing(solve(daemon, secret_ids={"token": "token@1"})) as build:
        lines_of(build)

    [returned] = daemon.bridge.returned
    assert returned.result.ref.id == "uses token@1"
    assert [request.Frontend for request in daemon.solver.requests] == [""]


def test_a_graph_that_fails_fails_the_build(daemon: FakeBuildkitd) -> None:
    def frontend(_request: object, _call: object) -> object:
        raise Failure("dockerfile parse error on line 1", details=scripts.of_step("x", line=1))

    daemon.frontend = frontend  # type: ignore[assignment] # it only fails
    with closing(solve(daemon, secret_ids={"token": "token@1"})) as build:
        lines_of(build)

        with pytest.raises(SolveFailed, match="parse error on line 1") as raised:
            build.result()

    assert raised.value.failed_step
    assert raised.value.failed_step.line == 1


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    names = {"session", "status", "gateway", "lookup"}
    for thread in threading.enumerate():
        if thread.name in names and thread not in before:
            thread.join(PATIENCE)
            assert not thread.is_alive()
