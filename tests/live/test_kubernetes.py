"""The buildkitd of scripts/kubernetes, with the script's certificates: builds on it, and how it ends."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from secrets import token_hex
from typing import TYPE_CHECKING

import pytest
from stack.images.registry_client import RegistryClient
from stack.paths import REPOSITORY

from .. import stack_file
from ..kubernetes import manifests, secrets_script
from . import pod as pods
from .caller import SECRET, Request, build, documents, get, read_until, stream
from .gate import Gate
from .sealing import SealedRequest, public_key
from .test_building import running
from .waiting import commands, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from stack.daemons.function import Function
    from stack.machine import Machine

    from ..kubernetes.manifests import Manifest
    from .conftest import StartFunction
    from .pod import Pod

    Connect = Callable[..., AbstractContextManager[Function]]

SECONDS = 60.0
MOUNT = "/var/openfaas/secrets"
# The daemon's name in a cluster, which is not where it is here.
NAME = "buildkitd.buildkit.svc.cluster.local"
PROBES = ("startupProbe", "readinessProbe", "livenessProbe")
QUICK = Request({"Dockerfile": "FROM scratch\nCOPY . /\n", "a": "a"}, config={"skipPush": True})


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> list[Manifest]:
    keys = tmp_path_factory.mktemp("keys")
    (keys / "payload-secret").write_bytes(SECRET)  # the script keeps what is there
    return secrets_script.printed(keys)


@pytest.fixture(scope="module")
def mounted(machine: Machine, secrets: list[Manifest]) -> Iterator[Path]:
    """Mount the function's secrets as OpenFaaS does."""
    with mount(machine, secrets) as folder:
        yield folder


@pytest.fixture(scope="module")
def pod(machine: Machine, mirror: str, secrets: list[Manifest]) -> Iterator[Pod]:
    with pods.prepared(machine, secrets, mirror) as started:
        yield started


@pytest.fixture
def own_pod(machine: Machine, mirror: str, secrets: list[Manifest]) -> Iterator[Pod]:
    """Start a pod that a test may end."""
    with pods.prepared(machine, secrets, mirror) as started:
        yield started


@pytest.fixture(scope="module")
def connect(start_function: StartFunction, mounted: Path) -> Connect:
    """Start functions on a pod with what stack.yml has in comments for it."""

    def start(pod: Pod, folder: Path = mounted) -> AbstractContextManager[Function]:
        environment: Mapping[str, str] = stack_file.function(all_options=True)["environment"]
        tls = {
            name: value.replace(MOUNT, str(folder))
            for name, value in environment.items()
            if name.startswith("buildkit_tls_")
        }
        assert len(tls) == 3
        secret_mount_path = str(mounted)
        return start_function(
            pod.address, secret_mount_path=secret_mount_path, buildkit_server_name=NAME, **tls
        )

    return start


@pytest.fixture(scope="module")
def function(pod: Pod, connect: Connect) -> Iterator[str]:
    with connect(pod) as started:
        yield started.url


@contextmanager
def mount(machine: Machine, secrets: list[Manifest]) -> Iterator[Path]:
    folder = machine.account.scratch(machine.paths, "secrets")
    of_function = [each for each in secrets if each["metadata"]["namespace"] == "openfaas-fn"]
    for name, content in secrets_script.mounted(of_function).items():
        (folder / name).write_bytes(content)
    yield folder
    shutil.rmtree(folder)


def test_the_sample_function_is_built_and_pushed(function: str, mounted: Path, mirror: str) -> None:
    template = REPOSITORY / "template" / "python3-http"
    repository, tag = "kubernetes/sample", token_hex(8)
    told = {"BUILDER_URL": function, "PAYLOAD_SECRET_FILE": str(mounted / "payload-secret")}
    built = subprocess.run(
        [
            *(sys.executable, REPOSITORY / "scripts" / "build.py", "--json"),
            *("--image", f"{mirror}/{repository}:{tag}", "--lang", "python3-http"),
            *("--handler", template / "function", "--template", template),
        ],
        env={**os.environ, **told},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    pushed = RegistryClient(mirror).image(repository, tag, "amd64")
    assert json.loads(built.stdout)["digest"] == pushed.digest


def test_the_function_finds_it_ready(function: str) -> None:
    assert get(function, "/ready").status == 200


def test_a_function_without_a_certificate_is_refused(
    pod: Pod, start_function: StartFunction
) -> None:
    with start_function(pod.address) as function:
        answer = build(function.url, QUICK)
    assert (answer.status, answer.document["reason"]) == (503, "buildkitd_unavailable")


def test_a_client_that_knows_the_daemon_but_has_no_certificate_is_refused(
    pod: Pod, machine: Machine, mounted: Path
) -> None:
    outside = ["--addr", pod.address, "--tlsservername", NAME, f"--tlscacert={mounted}/ca.crt"]
    own = [f"--tlscert={mounted}/tls.crt", f"--tlskey={mounted}/tls.key"]
    asked = [
        subprocess.run(
            [machine.programs.buildctl, *outside, *certificate, "debug", "workers"],
            capture_output=True,
            timeout=SECONDS,
            check=False,
        )
        for certificate in (own, [])
    ]
    assert [each.returncode for each in asked] == [0, 1]


def test_a_certificate_of_another_authority_is_refused(
    pod: Pod, connect: Connect, machine: Machine, secrets: list[Manifest], tmp_path: Path
) -> None:
    strangers = secrets_script.printed(tmp_path)
    with mount(machine, strangers) as folder:
        # It trusts the daemon, as any client that knows its authority can.
        known = [each for each in secrets if each["metadata"]["name"] == "buildkit-client"]
        (folder / "ca.crt").write_bytes(secrets_script.mounted(known)["ca.crt"])
        with connect(pod, folder) as function:
            answer = build(function.url, QUICK)
    assert (answer.status, answer.document["reason"]) == (503, "buildkitd_unavailable")


def test_folders_in_images_get_no_bits_from_the_volume(function: str) -> None:
    files = {
        "Dockerfile": "FROM debian:trixie-slim\n"
        "COPY . /copied/\n"
        'RUN mkdir /made && echo "modes: $(stat -c %a / /made /copied | xargs)"\n',
        "once": token_hex(8),
    }
    answer = build(function, Request(files, config={"skipPush": True}))
    assert any(entry.endswith("modes: 755 755 755") for entry in answer.log), answer.body


def test_a_step_sees_no_process_but_its_own(function: str) -> None:
    assert processes(function) == ["1"]


def test_a_step_of_another_build_is_out_of_reach(function: str) -> None:
    with Gate() as gate:
        request = running(f"KEY=of-the-other-build; export KEY; {gate.command}")
        with stream(function, request) as response:
            read_until(response, "arrived")
            look = "cat /proc/[0-9]*/environ | tr '\\0' '\\n' | grep -c of-the-other || true"
            answer = build(function, running(f'echo "found: $({look})"'))
            gate.open()
    assert any(entry.endswith("found: 0") for entry in answer.log), answer.body


def test_without_proc_mount_no_step_would_run(
    machine: Machine, mirror: str, secrets: list[Manifest], connect: Connect
) -> None:
    built = manifests.base()
    [container] = manifests.only(built, "StatefulSet")["spec"]["template"]["spec"]["containers"]
    del container["securityContext"]["procMount"]
    with (
        pods.prepared(machine, secrets, mirror, built=built) as pod,
        connect(pod) as function,
    ):
        answer = build(function.url, running("true"))
    assert answer.status == 422
    assert any("proc" in entry and "operation not permitted" in entry for entry in answer.log)


def test_without_user_namespaces_steps_run_and_see_the_daemon(
    machine: Machine, mirror: str, secrets: list[Manifest], connect: Connect, tmp_path: Path
) -> None:
    built = manifests.with_components(tmp_path, "no-process-sandbox")
    with (
        pods.prepared(machine, secrets, mirror, built=built) as pod,
        connect(pod) as function,
    ):
        # The price that the component's first line names.
        assert {"1", *processes(function.url)} > {"1"}


@pytest.mark.parametrize("name", PROBES)
def test_probes_pass(pod: Pod, name: str) -> None:
    ended = pod.probe(name)
    assert ended.returncode == 0, ended.stderr


def test_probes_fail_when_the_daemon_is_gone(
    machine: Machine, mirror: str, secrets: list[Manifest]
) -> None:
    pod = pods.prepared(machine, secrets, mirror)
    alone = [
        pod.run_once({**pod.container, "command": pod.container[name]["exec"]["command"]})
        for name in PROBES
    ]
    shutil.rmtree(pod.folder)
    assert {each.returncode for each in alone} == {1}
    assert all("buildkitd.sock" in each.stderr for each in alone)


def test_pre_stop_ends_at_once_when_nothing_is_built(pod: Pod, function: str) -> None:
    assert build(function, QUICK).document["status"] == "success"
    with pod.pre_stop() as waiting:
        assert waiting.wait(SECONDS) == 0


def test_pre_stop_waits_for_every_running_build(pod: Pod, function: str) -> None:
    with (
        Gate() as first,
        Gate() as second,
        stream(function, running(first.command)) as one,
        stream(function, running(second.command)) as other,
    ):
        read_until(one, "arrived")
        read_until(other, "arrived")
        with pod.pre_stop() as waiting:
            wait_until_following()
            first.open()
            *_, ended = documents(one)
            assert (ended["status"], waiting.poll()) == ("success", None)
            second.open()
            *_, ended = documents(other)
            assert ended["status"] == "success"
            assert waiting.wait(SECONDS) == 0


def test_pre_stop_does_not_wait_for_what_begins_meanwhile(pod: Pod, function: str) -> None:
    with (
        Gate() as gate,
        Gate() as later,
        stream(function, running(gate.command)) as response,
    ):
        read_until(response, "arrived")
        with pod.pre_stop() as waiting:
            wait_until_following()
            with stream(function, running(later.command)) as meanwhile:
                read_until(meanwhile, "arrived")
                gate.open()
                assert waiting.wait(SECONDS) == 0
                later.open()
                *_, ended = documents(meanwhile)
    assert ended["status"] == "success"


def test_pre_stop_waits_no_longer_than_it_is_told(pod: Pod, function: str) -> None:
    with Gate() as gate, stream(function, running(gate.command)) as response:
        read_until(response, "arrived")
        with pod.pre_stop(limit="1") as waiting:
            assert waiting.wait(SECONDS) == 124  # timeout(1)
        gate.open()
        *_, ended = documents(response)
    assert ended["status"] == "success"


def test_sigterm_lets_builds_end_and_takes_no_new_ones(own_pod: Pod, connect: Connect) -> None:
    assert own_pod.daemon
    with connect(own_pod) as function, Gate() as gate:
        request = running(gate.command)
        sealed = SealedRequest(
            request.files,
            request.image,
            request.config,
            public=public_key(function.url),
            secrets={"token": "a secret of the test"},
        )
        with stream(function.url, sealed) as response:
            read_until(response, "arrived")
            own_pod.daemon.process.send(signal.SIGTERM)
            wait_until(lambda: own_pod.buildctl("debug", "workers").returncode != 0)
            assert build(function.url, QUICK).document["reason"] == "buildkitd_unavailable"
            gate.open()
            *_, ended = documents(response)
        assert ended["status"] == "success"
        assert own_pod.daemon.child
        assert own_pod.daemon.child.wait(SECONDS) == 1  # buildkitd calls a signal an error


def test_the_next_pod_on_the_volume_has_its_cache_and_its_history(
    own_pod: Pod, connect: Connect
) -> None:
    request = running(f"echo {token_hex(8)}")
    with connect(own_pod) as function:
        before = build(function.url, request).document
    own_pod.stop()
    own_pod.start()
    with connect(own_pod) as function:
        again = build(function.url, request)
    known = own_pod.buildctl("debug", "histories")
    assert before["buildId"] in known.stdout
    assert any(entry.endswith(" CACHED") for entry in again.log), again.body


OWNERS = "stat -c '%n %u %g %a' /a /b /c /c/d /etc/shadow /usr/bin/chage /usr/bin/su"
OWNED = re.compile(r"/\S+ \d+ \d+ \d+$")
# Users below and above the daemon's own id, and set-uid and set-gid bits, which a change of owner takes away.
LAYER = (
    "install -o 33 -g 65534 -m 4755 /bin/true /a && install -o 65534 -g 999 -m 2755 /bin/true /b"
    " && mkdir /c && install -o 1000 -g 1001 -m 600 /dev/null /c/d && chown 1234:1000 /c"
)


@pytest.fixture
def old_volume(
    machine: Machine, mirror: str, secrets: list[Manifest], connect: Connect
) -> Iterator[tuple[Path, str, list[str]]]:
    """Yield a volume that an older daemon filled, one of its builds, and the owners in it."""
    folder = machine.account.scratch(machine.paths, "volume")
    state = pods.new_volume(folder / "state")
    built = manifests.single_daemon()
    with (
        pods.prepared(machine, secrets, mirror, built=built, state=state) as pod,
        connect(pod) as function,
    ):
        answer = build(function.url, layered(LAYER, OWNERS))
    yield state, answer.document["buildId"], owners(answer.log)
    shutil.rmtree(folder)


def test_a_volume_with_other_owners_is_refused(
    old_volume: tuple[Path, str, list[str]], machine: Machine, mirror: str, secrets: list[Manifest]
) -> None:
    pod = pods.prepared(machine, secrets, mirror, state=old_volume[0])
    [before] = pod.spec["initContainers"]
    refused = pod.run_once(before)
    shutil.rmtree(pod.folder)
    assert refused.returncode == 1
    assert "user:100000:65536" in refused.stderr
    assert "README.md, Upgrading" in refused.stderr


def test_an_upgraded_volume_has_its_cache_its_history_and_its_owners(
    old_volume: tuple[Path, str, list[str]],
    machine: Machine,
    mirror: str,
    secrets: list[Manifest],
    connect: Connect,
) -> None:
    state, build_id, before = old_volume
    assert len(before) == OWNERS.count(" /")
    for _ in range(2):  # what was done is not done again
        upgrade(machine, state)
    with (
        pods.prepared(machine, secrets, mirror, state=state) as pod,
        connect(pod) as function,
    ):
        assert build_id in pod.buildctl("debug", "histories").stdout
        answer = build(function.url, layered(LAYER, f"{OWNERS}; : {token_hex(8)}"))
    assert sum(entry.endswith(" CACHED") for entry in answer.log) == 1, answer.body
    assert owners(answer.log) == before


def upgrade(machine: Machine, state: Path) -> None:
    """Run README's Job on the volume."""
    [job] = manifests.built(manifests.FOLDER / "upgrade")
    spec = job["spec"]["template"]["spec"]
    folder = machine.account.scratch(machine.paths, "job")
    pod = pods.Pod(machine=machine, folder=folder, port=0, spec=spec, volumes={"state": state})
    ended = pod.run_once(pod.container)
    shutil.rmtree(folder)
    assert ended.returncode == 0, ended.stderr


def layered(*commands: str) -> Request:
    dockerfile = "".join(f"RUN {command}\n" for command in commands)
    return Request(
        {"Dockerfile": f"FROM debian:trixie-slim\n{dockerfile}"}, config={"skipPush": True}
    )


def owners(log: list[str]) -> list[str]:
    return [found[0] for entry in log if (found := OWNED.search(entry))]


def processes(function: str) -> list[str]:
    """Return the processes that a step sees."""
    answer = build(function, running("cd /proc && echo processes: [0-9]*"))
    [line] = [entry for entry in answer.log if "processes: " in entry and "[0-9]" not in entry]
    return line.partition("processes: ")[2].split()


def wait_until_following() -> None:
    """Wait until preStop has found a build, and follows it to its end."""
    wait_until(lambda: any("\0debug\0logs\0" in command for command in commands()))
