from __future__ import annotations

import socket

import pytest

from function.daemons.addresses import Address, addresses_of, has_name


def test_a_name_stands_for_all_its_addresses() -> None:
    def resolve(host: str, port: int) -> list[str]:
        assert (host, port) == ("buildkitd-pool", 1234)
        return ["10.0.0.2", "fd00::1", "10.0.0.1", "10.0.0.2"]

    found = addresses_of("tcp://buildkitd-pool:1234", resolve)

    assert found == [
        Address("tcp://10.0.0.1:1234"),
        Address("tcp://10.0.0.2:1234"),
        Address("tcp://[fd00::1]:1234"),
    ]
    assert {each.host for each in found} == {"buildkitd-pool"}  # the name that certificates have


@pytest.mark.parametrize(
    "url",
    ["unix:///run/buildkitd.sock", "tcp://10.0.0.1:1234", "tcp://[fd00::1]:1234", "tcp://a", "x"],
)
def test_what_is_no_name_is_asked_of_nobody(url: str) -> None:
    def resolve(_host: str, _port: int) -> list[str]:
        raise AssertionError

    assert not has_name(url)
    assert addresses_of(url, resolve) == [Address(url)]


def test_a_name_without_addresses_is_an_error() -> None:
    with pytest.raises(OSError, match="nowhere has no address"):
        addresses_of("tcp://nowhere:1", lambda _host, _port: [])


def test_names_are_asked_of_the_system() -> None:
    found = addresses_of("tcp://localhost:1234")

    assert Address("tcp://127.0.0.1:1234") in found or Address("tcp://[::1]:1234") in found
    with pytest.raises(socket.gaierror):
        addresses_of("tcp://no-such-host.invalid:1234")


def test_two_names_of_one_place_are_one_address() -> None:
    assert Address("tcp://10.0.0.1:1234", "pool") == Address("tcp://10.0.0.1:1234", "lookup")
