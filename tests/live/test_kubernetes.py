"""The buildkitd of scripts/kubernetes, with the script's certificates: who builds on it, and how it ends."""

from __future__ import annotations

import json
import os
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
from ..kubernetes import secrets_script
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
    """The function's secrets as OpenFaaS mounts them."""
    with mount(machine, secrets) as folder:
        yield folder


@pytest.fixture(scope="module")
def pod(machine: Machine, mirror: str, secrets: list[Manifest]) -> Iterator[Pod]:
    with pods.prepared(machine, secrets, mirror) as started:
        yield started


@pytest.fixture
def own_pod(machine: Machine, mirror: str, secrets: list[Manifest]) -> Iterator[Pod]:
    """One that a test may end."""
    with pods.prepared(machine, secrets, mirror) as started:
        yield started


@pytest.fixture(scope="module")
def connect(start_function: StartFunction, mounted: Path) -> Connect:
    """Starts functions on a pod with what stack.yml has in comments for it."""

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
    pod: Pod, mounted: Path
) -> None:
    outside = ["--addr", pod.address, "--tlsservername", NAME, "--tlscacert", mounted / "ca.crt"]
    own = ["--tlscert", mounted / "tls.crt", "--tlskey", mounted / "tls.key"]
    asked = [
        pod.buildctl(*map(str, [*outside, *certificate, "debug", "workers"]))
        for certificate in (own, [])
    ]
    assert [each.returncode for each in asked] == [0, 1]


def test_a_certificate_of_another_authority_is_refused(
    pod: Pod, connect: Connect, machine: Machine, secrets: list[Manifest], tmp_path: Path
) -> None:
    strangers = secrets_script.printed(tmp_path)
    with mount(machine, strangers) as folder:
        # It trusts the daemon, as anybody can who has seen its authority.
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


@pytest.mark.parametrize("name", PROBES)
def test_probes_pass(pod: Pod, name: str) -> None:
    ended = pod.probe(name)
    assert ended.returncode == 0, ended.stderr


def test_probes_fail_when_the_daemon_is_gone(own_pod: Pod) -> None:
    own_pod.stop()
    assert {own_pod.probe(name).returncode for name in PROBES} == {1}


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


def wait_until_following() -> None:
    """Until preStop has found a build, and follows it to its end."""
    wait_until(lambda: any("\0debug\0logs\0" in command for command in commands()))
