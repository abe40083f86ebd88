"""Every kind of address a daemon can have, and what is said when nobody is there."""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING

import pytest
from stack.daemons import certificates, ports

from .caller import NDJSON, Answer, Request, assert_built, build, get

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from stack.daemons.buildkitd import Buildkitd
    from stack.daemons.certificates import Certificates
    from stack.machine import Machine

    from .conftest import StartFunction

SCRATCH = Request({"Dockerfile": "FROM scratch\nCOPY . /\n", "a": "a"}, config={"skipPush": True})
AT_ONCE = 25.0  # seconds, a bound against hanging and no measure of speed


@pytest.fixture
def folder(machine: Machine) -> Iterator[Path]:
    """Yield a folder that the function can read, with files of its own."""
    made = machine.account.scratch(machine.paths, "certificates")
    yield made
    shutil.rmtree(made)


def make_certificates(machine: Machine, folder: Path) -> Certificates:
    made = certificates.make(machine.account.own(folder))
    for path in folder.iterdir():
        shutil.chown(path, machine.account.uid, machine.account.gid)
    return made


def tls_settings(authority: Certificates, client: Certificates) -> dict[str, str]:
    return {
        "buildkit_tls_ca": str(authority.authority.certificate),
        "buildkit_tls_cert": str(client.client.certificate),
        "buildkit_tls_key": str(client.client.key),
    }


def test_builds_over_mutual_tls(
    start_function: StartFunction,
    start_daemon: Callable[..., Buildkitd],
    machine: Machine,
    folder: Path,
) -> None:
    made = make_certificates(machine, folder)
    daemon = start_daemon(tls=made)
    with start_function(daemon.address, **tls_settings(made, made)) as function:
        assert get(function.url, "/ready").status == 200
        assert_built(build(function.url, SCRATCH))


def test_server_name_replaces_the_host_in_the_certificate(
    start_function: StartFunction,
    start_daemon: Callable[..., Buildkitd],
    machine: Machine,
    folder: Path,
) -> None:
    made = make_certificates(machine, folder)
    daemon = start_daemon(tls=made)
    settings = tls_settings(made, made)
    with start_function(daemon.address, **settings, buildkit_server_name="buildkitd") as function:
        assert_built(build(function.url, SCRATCH))
    with start_function(daemon.address, **settings, buildkit_server_name="another") as function:
        assert_tls_failed(build(function.url, SCRATCH))


@pytest.mark.parametrize("wrong", ["authority", "client"])
def test_certificates_of_another_authority_are_refused(
    start_function: StartFunction,
    start_daemon: Callable[..., Buildkitd],
    machine: Machine,
    folder: Path,
    wrong: str,
) -> None:
    right = make_certificates(machine, folder / "right")
    other = make_certificates(machine, folder / "other")
    machine.account.own(folder, 0o755)
    daemon = start_daemon(tls=right)
    settings = tls_settings(*((other, right) if wrong == "authority" else (right, other)))
    with start_function(daemon.address, **settings) as function:
        began = time.monotonic()
        answer = build(function.url, SCRATCH)
        assert time.monotonic() - began < AT_ONCE
    assert_tls_failed(answer)


def test_builds_over_a_unix_socket(
    start_function: StartFunction, start_daemon: Callable[..., Buildkitd]
) -> None:
    daemon = start_daemon(unix=True)
    assert daemon.address.startswith("unix:///")
    with start_function(daemon.address) as function:
        assert_built(build(function.url, SCRATCH))


@pytest.mark.parametrize("accept", ["application/json", NDJSON])
@pytest.mark.parametrize("scheme", ["tcp", "unix"])
def test_nobody_at_the_address_is_said_at_once(
    start_function: StartFunction, folder: Path, scheme: str, accept: str
) -> None:
    address = (
        f"unix://{folder}/none.sock" if scheme == "unix" else f"tcp://127.0.0.1:{ports.free()}"
    )
    with start_function(address) as function:
        began = time.monotonic()
        answer = build(function.url, SCRATCH, accept=accept)
        assert time.monotonic() - began < AT_ONCE
        ready = get(function.url, "/ready")
        healthy = get(function.url, "/healthz")
    document = answer.document
    assert (document["status"], document["reason"]) == ("failed", "buildkitd_unavailable")
    assert "cannot be reached" in document["error"]
    assert str(folder) not in document["error"]
    if accept == NDJSON:
        assert (answer.status, document["retryAfter"]) == (200, 5)
    else:
        assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
    assert (ready.status, ready.document["reason"]) == (503, "buildkitd_unavailable")
    assert healthy.status == 200


def test_unreadable_certificates_are_the_operators_to_mend(
    start_function: StartFunction, folder: Path
) -> None:
    missing = {
        f"buildkit_tls_{part}": str(folder / f"{part}.pem") for part in ("ca", "cert", "key")
    }
    with start_function("tcp://127.0.0.1:1", **missing) as function:
        answer = build(function.url, SCRATCH)
    assert (answer.status, answer.document["reason"]) == (503, "not_ready")


def assert_tls_failed(answer: Answer) -> None:
    document = answer.document
    assert (answer.status, document["reason"]) == (503, "buildkitd_unavailable")
    assert (
        "the TLS handshake failed. Check the certificates in buildkit_tls_ca" in document["error"]
    )
