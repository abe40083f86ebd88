from __future__ import annotations

import shutil
import socket
import ssl
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from stack.daemons import certificates

from function.buildkit import DaemonTLS, DaemonUnavailable, Misconfigured, Trouble
from function.buildkit.rpc.http2 import dialing
from function.buildkit.rpc.http2.dialing import Address, dial, tls_context

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from stack.daemons.certificates import Certificates

PATIENCE = 30.0
SHORT = 0.2


@pytest.mark.parametrize(
    ("url", "address", "authority"),
    [
        ("unix:///run/b.sock", Address(path="/run/b.sock"), "localhost"),
        ("tcp://buildkit:1234", Address(host="buildkit", port=1234), "buildkit:1234"),
        ("tcp://[::1]:1234", Address(host="::1", port=1234), "[::1]:1234"),
    ],
)
def test_an_address_is_read_and_named(url: str, address: Address, authority: str) -> None:
    assert Address.of(url) == address
    assert address.authority == authority


def trouble(address: Address, seconds: float = PATIENCE) -> Trouble:
    with pytest.raises(DaemonUnavailable) as raised:
        dial(address, None, "", seconds)
    return raised.value.trouble


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def test_where_nobody_listens_no_connection_is_made(tmp_path: Path) -> None:
    assert trouble(Address(path=str(tmp_path / "none"))) is Trouble.NO_CONNECTION
    assert trouble(Address(host="127.0.0.1", port=free_port())) is Trouble.NO_CONNECTION


def test_a_host_may_have_no_address() -> None:
    assert trouble(Address(host="none.invalid", port=1)) is Trouble.NO_ADDRESS


def test_a_resolver_that_says_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    may_end = threading.Event()

    def infos(_address: Address, flags: int) -> list[object]:
        if flags:
            raise socket.gaierror
        may_end.wait(PATIENCE)
        return []

    monkeypatch.setattr(dialing, "_infos", infos)
    since = time.monotonic()

    assert trouble(Address(host="buildkit", port=1), SHORT) is Trouble.NO_ADDRESS
    assert time.monotonic() - since < PATIENCE
    may_end.set()


def test_a_name_with_several_addresses_leads_to_the_one_that_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        there = listener.getsockname()
        nowhere = ("127.0.0.1", free_port())
        found = [(socket.AF_INET, 0, 0, "", where) for where in (nowhere, there)]
        monkeypatch.setattr(dialing, "_infos", lambda _address, _flags: found)

        with dial(Address(host="buildkit", port=1), None, "", PATIENCE) as opened:
            assert opened.getpeername() == there
            assert opened.getblocking() is False


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed")
    return certificates.make(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def another(made: Certificates, tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    assert made  # with what makes them
    return certificates.make(tmp_path_factory.mktemp("others"))


@pytest.fixture
def daemon(made: Certificates) -> Iterator[Address]:
    """Serve TLS that asks for certificates, and send back what comes."""
    context = ssl.create_default_context(
        ssl.Purpose.CLIENT_AUTH, cafile=str(made.authority.certificate)
    )
    context.load_cert_chain(str(made.server.certificate), str(made.server.key))
    context.verify_mode = ssl.CERT_REQUIRED
    context.set_alpn_protocols(["h2"])
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    accepted, _ = listener.accept()
                except OSError:
                    return
                try:
                    with closing(context.wrap_socket(accepted, server_side=True)) as opened:
                        opened.sendall((opened.selected_alpn_protocol() or "").encode())
                except OSError:
                    accepted.close()

        serving = threading.Thread(target=serve, daemon=True)
        serving.start()
        yield Address(host="127.0.0.1", port=listener.getsockname()[1])
        listener.shutdown(socket.SHUT_RDWR)
    serving.join(PATIENCE)


def settings(made: Certificates, client: Certificates | None = None, **options: str) -> DaemonTLS:
    pair = (client or made).client
    return DaemonTLS(ca=made.authority.certificate, cert=pair.certificate, key=pair.key, **options)


def test_each_end_shows_its_certificate_and_they_agree_on_http2(
    made: Certificates, daemon: Address
) -> None:
    context = tls_context(settings(made))
    with dial(daemon, context, "", PATIENCE) as opened:
        opened.settimeout(PATIENCE)
        assert opened.recv(10) == b"h2"


def test_a_certificate_may_name_another_host_if_that_is_expected(
    made: Certificates, daemon: Address
) -> None:
    context = tls_context(settings(made))
    dial(daemon, context, "buildkitd", PATIENCE).close()

    with pytest.raises(DaemonUnavailable) as raised:
        dial(daemon, context, "another", PATIENCE)
    assert raised.value.trouble is Trouble.TLS


def test_a_daemon_of_another_authority_is_refused(another: Certificates, daemon: Address) -> None:
    with pytest.raises(DaemonUnavailable) as raised:
        dial(daemon, tls_context(settings(another)), "", PATIENCE)
    assert raised.value.trouble is Trouble.TLS


def test_a_port_that_speaks_no_tls_is_no_daemon(made: Certificates) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            accepted, _ = listener.accept()
            with accepted:
                accepted.recv(1 << 16)
                accepted.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        serving = threading.Thread(target=serve, daemon=True)
        serving.start()
        address = Address(host="127.0.0.1", port=listener.getsockname()[1])
        with pytest.raises(DaemonUnavailable) as raised:
            dial(address, tls_context(settings(made)), "", PATIENCE)
        serving.join(PATIENCE)
    assert raised.value.trouble is Trouble.TLS


def test_a_daemon_that_says_nothing_is_not_waited_for(made: Certificates) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = Address(host="127.0.0.1", port=listener.getsockname()[1])
        with pytest.raises(DaemonUnavailable) as raised:
            dial(address, tls_context(settings(made)), "", SHORT)
    assert raised.value.trouble is Trouble.SILENT


@pytest.mark.parametrize("missing", ["ca", "cert", "key"])
def test_a_file_that_cannot_be_read_is_named(
    made: Certificates, tmp_path: Path, missing: str
) -> None:
    files = {
        "ca": made.authority.certificate,
        "cert": made.client.certificate,
        "key": made.client.key,
    }
    files[missing] = tmp_path / "none.pem"
    with pytest.raises(Misconfigured, match=r"none\.pem cannot be read; TLS needs it\."):
        tls_context(DaemonTLS(ca=files["ca"], cert=files["cert"], key=files["key"]))


def test_a_file_that_is_no_certificate_fails_the_handshake(
    made: Certificates, tmp_path: Path
) -> None:
    nonsense = tmp_path / "nonsense.pem"
    nonsense.write_text("nonsense")
    with pytest.raises(DaemonUnavailable) as raised:
        tls_context(DaemonTLS(ca=nonsense, cert=made.client.certificate, key=made.client.key))
    assert raised.value.trouble is Trouble.TLS
