from __future__ import annotations

import base64
import json
from contextlib import closing
from typing import TYPE_CHECKING, cast

import pytest

from function.buildkit import (
    Client,
    DaemonTLS,
    DaemonUnavailable,
    Misconfigured,
    SolveFailed,
    SolveSpec,
    Trouble,
)
from function.buildkit.rpc.channel import target
from function.daemon_errors import translation
from function.pb import control_pb2 as pb

from ..fake_buildkitd import Failure

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from function.buildkit.rpc.control import Control
    from function.buildkit.rpc.http2.channel import Http2Channel
    from function.buildkit.rpc.http2.connection import Connection

    from ..fake_buildkitd import Build, FakeBuildkitd


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("tcp://buildkitd:1234", "dns:///buildkitd:1234"),
        ("tcp://127.0.0.1:1234/", "dns:///127.0.0.1:1234"),
        ("tcp://[::1]:1234", "dns:///[::1]:1234"),
        ("unix:///run/buildkit/buildkitd.sock", "unix:/run/buildkit/buildkitd.sock"),
    ],
)
def test_an_address_is_named_as_grpc_names_it(url: str, name: str) -> None:
    assert target(url) == name


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("", id="nothing"),
        pytest.param("buildkitd:1234", id="no scheme"),
        pytest.param("http://buildkitd:1234", id="another scheme"),
        pytest.param("tcp://buildkitd", id="no port"),
        pytest.param("tcp://:1234", id="no host"),
        pytest.param("tcp://buildkitd:port", id="a port that is no number"),
        pytest.param("tcp://buildkitd:99999", id="a port out of range"),
        pytest.param("tcp://buildkitd:0", id="port zero"),
        pytest.param("tcp://[::1:1234", id="half an IPv6 address"),
        pytest.param("tcp://buildkitd:1234/path", id="a path"),
        pytest.param("unix://", id="a socket without a path"),
        pytest.param("unix://run/buildkitd.sock", id="a relative path"),
    ],
)
def test_an_address_that_leads_nowhere_is_refused(url: str) -> None:
    with pytest.raises(Misconfigured, match=r'"tcp://host:port" or "unix:///path"') as raised:
        target(url)

    assert str(translation(raised.value)).startswith('buildkit_url must be "tcp://host:port" or')


DOCKERFILE = b"# a comment\n" * 20_000 + b"COPY nothing /\n"


def fails_with_all_of_it(_build: Build) -> dict[str, str]:
    """Fail as buildkitd does, with the whole Dockerfile in the trailers."""
    source = {
        "info": {"filename": "Dockerfile", "data": base64.b64encode(DOCKERFILE).decode()},
        "ranges": [{"start": {"line": 20_001}, "end": {"line": 20_001}}],
    }
    details = {"errdefs.Source+json": json.dumps(source).encode()}
    raise Failure("failed to solve: not found", details=details)


def test_a_failed_build_of_a_long_dockerfile_says_why(daemon: FakeBuildkitd) -> None:
    daemon.solver.script = fails_with_all_of_it
    with closing(daemon.client().solve(SolveSpec(ref="r"), {}, shared_key="k")) as failing:
        assert [line for lines in failing for line in lines] == []

        with pytest.raises(SolveFailed) as raised:
            failing.result()

    assert str(raised.value) == "the build failed (Dockerfile:20001): not found"


def test_a_daemon_says_its_version(daemon: FakeBuildkitd) -> None:
    assert daemon.client().version() == daemon.version


def test_a_daemon_says_how_it_is(daemon: FakeBuildkitd) -> None:
    daemon.usage = [("regular", 7)]

    state = daemon.client().state()

    assert (state.up, state.version, state.cache_bytes) == (True, daemon.version, {"regular": 7})


def test_a_daemon_that_was_silent_is_asked_on_another_connection(daemon: FakeBuildkitd) -> None:
    client = daemon.client(patience=0.05)
    daemon.hold("Info")
    with pytest.raises(DaemonUnavailable) as raised:
        client.version()
    assert raised.value.trouble is Trouble.SILENT
    assert client._channel is None
    daemon.let_go("Info")

    client.patience = 10.0
    assert client.version() == daemon.version


def silent(client: Client, meanwhile: Callable[[], object] = lambda: None) -> None:
    """Ask in vain; *meanwhile* comes before that is known."""
    with client.asking():
        meanwhile()
        raise DaemonUnavailable("Silent.", Trouble.SILENT)


def test_of_many_that_asked_in_vain_the_last_leaves_what_the_first_had_opened(
    daemon: FakeBuildkitd,
) -> None:
    client = daemon.client()

    def another_has_opened_one() -> None:
        with pytest.raises(DaemonUnavailable):
            silent(client)
        assert client._channel is None
        client.version()

    with pytest.raises(DaemonUnavailable):
        silent(client, meanwhile=another_has_opened_one)

    assert client._channel is not None


def test_what_nobody_waits_for_has_a_connection_of_its_own(daemon: FakeBuildkitd) -> None:
    client = daemon.client()
    with client.asking() as control, client.asking(apart=True) as apart:
        assert control.channel is not apart.channel
        assert client.control_apart().channel is apart.channel
    client.reconnect()
    with client.asking(apart=True) as again:
        assert again.channel is not apart.channel


def connection_of(control: Control) -> Connection:
    return cast("Http2Channel", control.channel).connection


def test_what_is_asked_in_turn_has_one_connection_though_what_was_asked_goes_on(
    daemon: FakeBuildkitd,
) -> None:
    client = daemon.client()
    with client.asking_here() as control:
        first = connection_of(control)
        solve = control.solve.future(pb.SolveRequest(Ref="a build"))
    with client.asking_here() as control:
        assert connection_of(control) is first
        assert control.info(pb.InfoRequest(), timeout=10).buildkitVersion.version == daemon.version
        with client.asking_here() as beside:
            assert connection_of(beside) is not first

    daemon.wait_until(lambda: len(daemon.solver.requests) == 1)
    assert not solve.done()


def test_a_connection_that_was_silent_is_not_asked_on_again_and_keeps_what_goes_on_there(
    daemon: FakeBuildkitd,
) -> None:
    client = daemon.client()
    with client.asking_here() as control:
        silent_one = connection_of(control)
        solve = control.solve.future(pb.SolveRequest(Ref="a build"))

    with pytest.raises(DaemonUnavailable), client.asking_here():
        raise DaemonUnavailable("Silent.", Trouble.SILENT)

    with client.asking_here() as control:
        assert connection_of(control) is not silent_one
    assert not solve.done()


def test_a_tls_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "missing.pem"
    client = Client("tcp://127.0.0.1:1", DaemonTLS(ca=missing, cert=missing, key=missing))

    with pytest.raises(Misconfigured, match=r"missing\.pem") as raised:
        client.version()

    assert raised.value.path == str(missing)
