"""The stack of scripts/up: what steps see of it, what it calls, and how it says what runs."""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
from dataclasses import replace
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING

import pytest
from stack.daemons import ports
from stack.install.preparation import Prepared
from stack.machine import BUILDKIT
from stack.paths import REPOSITORY, Paths
from stack.running import recorded
from stack.running import whole as running
from stack.running.recorded import Ports

from .callbacks import Receiver
from .caller import Request, build, get, post, signature

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from stack.daemons.buildkitd import Buildkitd
    from stack.machine import Machine

    from .conftest import StartFunction

# What `up` starts goes on without it, of which Python warns.
LEAVES_DAEMONS = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

ENV_SECONDS = 0.3

# HTTP/2's preface and an empty SETTINGS frame (RFC 9113, 3.4 and 6.5): a gRPC server answers with its own.
ASK_ALL = r"""
import pathlib, socket
hello = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
lines = pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]
listening = sorted({int(f[1].split(":")[1], 16) for f in map(str.split, lines) if f[3] == "0A"})
print("listening", len(listening))
for port in listening:
    try:
        with socket.create_connection(("127.0.0.1", port), 2) as asked:
            asked.settimeout(2)
            asked.sendall(hello)
            answer = asked.recv(9)
    except OSError:
        continue
    if len(answer) == 9 and answer[3] == 4:
        print(f"grpc at {port}")
for path in %r:
    print("socket", pathlib.Path(path).exists())
print("processes", len([each for each in pathlib.Path("/proc").iterdir() if each.name.isdigit()]))
"""


def asking(*sockets: str) -> Request:
    dockerfile = "FROM python:3.13-slim-trixie\nCOPY ask.py /\nARG NONCE\nRUN python3 /ask.py\n"
    files = {"Dockerfile": dockerfile, "ask.py": ASK_ALL % (list(sockets),)}
    return Request(files, config={"skipPush": True, "buildArgs": {"NONCE": token_hex(8)}})


def listens(daemon: Buildkitd, port: int) -> bool:
    """Return whether it is the daemon that listens there, and nobody else on this machine."""
    inodes = ports._listening_inodes(port)
    return any(ports._holds(Path(f"/proc/{each.pid}"), inodes) for each in daemon.daemon.members())


def test_no_step_reaches_the_daemons_own_api(
    start_function: StartFunction, start_daemon: Callable[..., Buildkitd], shared_daemon: str
) -> None:
    assert shared_daemon.startswith("unix://"), "the stack's own is started so"
    daemon = start_daemon(unix=True)
    socket = daemon.address.removeprefix("unix://")
    assert Path(socket).is_socket()

    with start_function(daemon.address) as function:
        log = "\n".join(build(function.url, asking(socket)).log)
        reached = [int(port) for port in re.findall(r"grpc at (\d+)", log)]
        assert not any(listens(daemon, port) for port in reached)

    assert "listening" in log
    assert "socket False" in log


def test_a_step_would_have_seen_a_daemon_that_listens_on_loopback(
    builder: str, start_daemon: Callable[..., Buildkitd]
) -> None:
    daemon = start_daemon()
    port = daemon.address.rpartition(":")[2]

    log = "\n".join(build(builder, asking()).log)

    assert f"grpc at {port}" in log
    assert listens(daemon, int(port))


def test_a_step_sees_its_own_processes_alone(builder: str, machine: Machine) -> None:
    if not machine.process_sandbox:
        pytest.skip("this kernel allows no process sandbox")

    log = "\n".join(build(builder, asking()).log)

    found = re.search(r"processes (\d+)", log)
    assert found, log
    assert int(found.group(1)) <= 2, "its shell, and Python"


@pytest.mark.daemons
def test_the_stacks_function_calls_back_on_loopback() -> None:
    secret = Path(os.environ["PAYLOAD_SECRET_FILE"]).read_bytes().strip()
    with Receiver() as receiver:
        request = Request(
            {"Dockerfile": "FROM scratch\nCOPY Dockerfile /\n"},
            config={"skipPush": True, "callbackUrl": f"{receiver.url}/built"},
        )
        body = request.tar()
        signed = {"X-Build-Signature": signature(body, secret)}
        accepted = post(os.environ["BUILDER_URL"], body, signed)
        assert accepted.status == 202, accepted.body
        received = receiver.next()

    assert received.document["status"] == "success"


@pytest.mark.daemons
@pytest.mark.skipif(
    BUILDKIT in os.environ and "apart" in os.environ["BUILDKIT_HOST"], reason="apart"
)
def test_env_is_said_from_the_record_at_once_and_nothing_else_is() -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    finished = subprocess.run(
        [REPOSITORY / "scripts" / "up", "--env"], capture_output=True, text=True, check=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)

    assert finished.stderr == ""
    said = dict(line.removeprefix("export ").split("=", 1) for line in finished.stdout.splitlines())
    assert said["BUILDER_URL"] == os.environ["BUILDER_URL"]
    assert said["BUILDKIT_HOST"] == os.environ["BUILDKIT_HOST"]
    # Of the processor, since other programs may keep it from being there at once.
    spent = (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime)
    assert spent < ENV_SECONDS


@pytest.fixture
def own(machine: Machine) -> Iterator[Prepared]:
    """Yield a prepared machine whose stack is its own, without base images; all that runs is stopped."""
    folder = machine.account.scratch(machine.paths, "stack")
    apart = Paths(state=folder / "state", runtime=folder / "run")
    yield Prepared(
        machine=replace(machine, paths=apart), images=[], mirrored=("docker.io",), watchdog=None
    )
    for _ in running.stop(apart):
        pass
    subprocess.run(["rm", "-rf", str(folder)], check=True)


@LEAVES_DAEMONS
def test_several_daemons_have_a_cache_and_an_address_each(own: Prepared) -> None:
    started = running.ensure(own, Ports(), default=Ports(), daemons=2)

    state = own.machine.paths.state
    assert started.buildkit_hosts == [
        f"unix://{state}/buildkit/run/buildkitd.sock",
        f"unix://{state}/buildkit-2/run/buildkitd.sock",
    ]
    workers = set()
    for host in started.buildkit_hosts:
        command = [own.machine.programs.buildctl, "--addr", host, "debug", "workers"]
        told = subprocess.run([*command, "--format", "{{json .}}"], capture_output=True, check=True)
        workers |= {each["id"] for each in json.loads(told.stdout)}
    assert len(workers) == 2

    again = running.ensure(own, Ports(), default=Ports())
    assert again.buildkit_hosts == started.buildkit_hosts, "as many as run"

    one = running.ensure(own, Ports(), default=Ports(), daemons=1)
    assert one.buildkit_hosts == started.buildkit_hosts[:1]
    assert recorded.buildkitd_names(running.names(own.machine.paths)) == ["buildkitd"]


@LEAVES_DAEMONS
def test_without_a_process_sandbox_secrets_are_refused_unless_told_otherwise(
    own: Prepared, capfd: pytest.CaptureFixture[str]
) -> None:
    kernel_forbids = replace(own, machine=replace(own.machine, process_sandbox=False))

    started = running.ensure(kernel_forbids, Ports(), default=Ports())
    refused = get(started.builder_url, "/publickey")
    assert refused.status == 503
    assert refused.document["reason"] == "not_ready"
    assert (
        "builds with secrets are refused; ./scripts/up --no-process-sandbox"
        in capfd.readouterr().err
    )
    assert _has_flag(own.machine.paths)

    told = running.ensure(kernel_forbids, Ports(), default=Ports(), unsafe_secrets=True)
    assert get(told.builder_url, "/publickey").status == 200
    assert "taken all the same" in capfd.readouterr().err


@LEAVES_DAEMONS
def test_where_the_kernel_allows_it_steps_have_a_process_table_of_their_own(own: Prepared) -> None:
    if not own.machine.process_sandbox:
        pytest.skip("this kernel allows no process sandbox")

    started = running.ensure(own, Ports(), default=Ports())

    assert get(started.builder_url, "/publickey").status == 200
    assert not _has_flag(own.machine.paths)


def _has_flag(paths: Paths) -> bool:
    told = json.loads(paths.record.read_text())["buildkitd"]
    command = Path(f"/proc/{told['pid']}/cmdline").read_text()
    return "--oci-worker-no-process-sandbox" in command
