"""Calls to receivers on loopback; only what is said of other addresses stays on paper."""

from __future__ import annotations

import socket
import ssl
import subprocess
from typing import TYPE_CHECKING

import pytest

from function.callbacks import attempt as attempts
from function.callbacks.attempt import attempt
from function.callbacks.target import Target, target
from function.errors import ConfigError

from .callback_receiver import receiver

if TYPE_CHECKING:
    from pathlib import Path

ANYONE = ("*",)
SECONDS = 10.0
SOON = 0.3


def tried(to: Target, *, private: bool = True, seconds: float = SECONDS) -> int | str:
    return attempt(to, b"{}", {"X-Test": "yes"}, private=private, seconds=seconds)


@pytest.mark.parametrize("status", [202, 404, 503])
def test_says_what_was_answered(status: int) -> None:
    with receiver(status) as server:
        assert tried(server.target) == status

    [(path, body, headers)] = server.received
    assert (path, body, headers["X-Test"]) == ("/built?a=1", b"{}", "yes")


def test_a_redirect_is_never_followed() -> None:
    with receiver(307) as server:
        assert tried(server.target) == 307

    assert [path for path, *_ in server.received] == ["/built?a=1"]


def test_says_that_a_receiver_is_down() -> None:
    with receiver(200) as server:
        gone = server.target

    assert "ConnectionRefusedError" in str(tried(gone))


def test_a_receiver_that_answers_byte_for_byte_is_cut_off() -> None:
    with receiver(200) as server:
        server.drips = True

        assert "TimeoutError" in str(tried(server.target, seconds=SOON))
        assert server.cut_off.wait(SECONDS)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_receiver_that_says_nothing_is_cut_off(scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        to = Target(scheme, "127.0.0.1", listener.getsockname()[1], "/")

        assert "TimeoutError" in str(tried(to, seconds=SOON))


def test_a_receiver_with_a_certificate_is_called_over_tls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with receiver(202, tls=certified(tmp_path)) as server:
        assert "certificate verify failed" in str(tried(server.target))
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate"))
        assert tried(server.target) == 202

    assert len(server.received) == 1


def test_a_receiver_over_tls_that_answers_byte_for_byte_is_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with receiver(200, tls=certified(tmp_path)) as server:
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate"))
        server.drips = True

        assert "TimeoutError" in str(tried(server.target, seconds=1.0))
        assert server.cut_off.wait(SECONDS)


def certified(folder: Path) -> ssl.SSLContext:
    """Return the side of a server whose certificate, for 127.0.0.1, is in *folder*."""
    certificate, key = folder / "certificate", folder / "key"
    new = (
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-subj",
        "/CN=receiver",
    )
    out = ("-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate)
    subprocess.run(("openssl", "req", "-x509", *new, *out), check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


def test_private_addresses_are_not_called_unless_allowed() -> None:
    with receiver(200) as server:
        assert "callback_private is not set" in str(tried(server.target, private=False))

    assert server.received == []


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "169.254.169.254",
        pytest.param("168.63.129.16", id="Azure's own"),
        pytest.param("192.0.0.192", id="Oracle's own"),
        "198.18.0.1",
        "100.64.0.1",
        "192.0.2.1",
        "224.0.0.1",
        "::",
        "::1",
        "fe80::1%eth0",
        "fec0::1",
        "fd00::1",
        "ff02::1",
        "100::1",
        "2001:db8::1",
        pytest.param("::ffff:10.0.0.1", id="IPv4-mapped"),
        pytest.param("::ffff:224.0.0.1", id="IPv4-mapped, to many"),
        pytest.param("::169.254.169.254", id="IPv4-compatible"),
        pytest.param("::93.184.216.34", id="IPv4-compatible, inside public"),
        pytest.param("::ffff:0:10.0.0.1", id="IPv4-translated"),
        pytest.param("64:ff9b::a9fe:a9fe", id="NAT64"),
        pytest.param("64:ff9b::e000:1", id="NAT64, to many"),
        pytest.param("64:ff9b:1::a00:1", id="NAT64 of a network's own"),
        pytest.param("64:ff9b:1::5db8:d822", id="NAT64 of a network's own, inside public"),
        pytest.param("2002:a9fe:a9fe::1", id="6to4"),
        pytest.param("2001:0:5db8:d822::f5ff:fffe", id="Teredo"),
    ],
)
def test_knows_which_addresses_are_not_everybodys(address: str) -> None:
    assert not attempts.is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "93.184.216.34",
        "2606:2800:220:1::1",
        "2001:4860:4860::8888",
        "2a00:1450:4001::1%eth0",
        pytest.param("::ffff:93.184.216.34", id="IPv4-mapped"),
        pytest.param("64:ff9b::5db8:d822", id="NAT64"),
    ],
)
def test_knows_which_addresses_are_everybodys(address: str) -> None:
    assert attempts.is_public(address)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://example.com", Target("https", "example.com", 443, "/")),
        ("http://Example.com:8080/a?b=c", Target("http", "example.com", 8080, "/a?b=c")),
        ("https://example.com./x", Target("https", "example.com", 443, "/x")),
    ],
)
def test_reads_where_to_call(url: str, expected: Target) -> None:
    assert target(url, ANYONE) == expected


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com",
        "ftp://example.com",
        "https://",
        "https://user:pw@example.com",
        "https://example.com:port",
        "https://example.com/a b",
        "https://exämple.com",
        "https://a..example.com",
        f"https://{'a' * 64}.example.com",
        "https://example.com/\r\nX: y",
    ],
)
def test_refuses_what_is_no_address_to_call(url: str) -> None:
    with pytest.raises(ConfigError, match="callbackUrl must be"):
        target(url, ANYONE)


@pytest.mark.parametrize(
    ("allowed", "host", "called"),
    [
        (("example.com",), "example.com", True),
        (("example.com",), "a.example.com", False),
        ((".example.com",), "a.example.com", True),
        ((".example.com",), "example.com", False),
        ((".example.com",), "badexample.com", False),
        (("Example.COM",), "example.com", True),
        ((), "example.com", False),
    ],
)
def test_calls_only_addresses_that_the_operator_allows(
    allowed: tuple[str, ...], host: str, *, called: bool
) -> None:
    if called:
        assert target(f"https://{host}/", allowed).host == host
    else:
        with pytest.raises(ConfigError, match="have the operator add it to callback_hosts"):
            target(f"https://{host}/", allowed)
