from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from function.buildkit.rpc.grpc_status import Code, RpcError
from function.buildkit.session.auth import credentials
from function.errors import NotReady
from function.fsutil.wire import MESSAGE_PREFIX
from function.pb import auth_pb2 as pb
from function.registry.docker_config import ANONYMOUS, Credentials

if TYPE_CHECKING:
    from collections.abc import Callable

    from function.buildkit.session.grpc_server import Call


def ask(known: dict[str, Credentials], host: str) -> pb.CredentialsResponse:
    call = credentials(lambda name: known.get(name, ANONYMOUS))({})
    call.receive(pb.CredentialsRequest(Host=host).SerializeToString())
    return response(call)


def response(call: Call) -> pb.CredentialsResponse:
    framed = b"".join(call.send(1000))
    return pb.CredentialsResponse.FromString(framed[MESSAGE_PREFIX.size :])


def test_hands_out_the_credentials_of_the_registry_asked_for() -> None:
    known = {"a:5000": Credentials("user", "pass"), "b": Credentials("other", "secret")}

    assert ask(known, "a:5000") == pb.CredentialsResponse(Username="user", Secret="pass")


def test_an_unknown_registry_is_spoken_to_without_credentials() -> None:
    assert ask({}, "a") == pb.CredentialsResponse()


def test_credentials_are_looked_up_anew_for_each_call() -> None:
    known = {"a": Credentials("user", "old")}
    ask(known, "a")
    known["a"] = Credentials("user", "rotated")

    assert ask(known, "a").Secret == "rotated"


def test_credentials_that_cannot_be_read_fail_the_call_and_say_why() -> None:
    def lookup(_host: str) -> Credentials:
        raise NotReady("The registry credentials cannot be read.")

    with pytest.raises(RpcError, match="cannot be read") as raised:
        credentials(lookup)({}).receive(b"")

    assert raised.value.code is Code.UNAVAILABLE


def test_what_has_to_be_asked_for_is_asked_for_beside_the_call() -> None:
    asked: list[str] = []

    def lookup(host: str) -> Callable[[], Credentials]:
        def ask() -> Credentials:
            asked.append(host)
            return Credentials("user", "pass")

        return ask

    call = credentials(lookup)({})
    found = call.receive(pb.CredentialsRequest(Host="a").SerializeToString())
    assert found
    assert (asked, call.done, call.send(1000)) == ([], False, [])

    found.deliver(found.ask())

    assert asked == ["a"]
    assert response(call) == pb.CredentialsResponse(Username="user", Secret="pass")


def test_what_cannot_be_asked_for_fails_the_call_and_says_why() -> None:
    def ask() -> Credentials:
        raise NotReady("The credential helper failed.")

    found = credentials(lambda _host: ask)({}).receive(b"")
    assert found
    outcome = found.ask()

    assert isinstance(outcome, RpcError)
    assert (outcome.code, outcome.message) == (Code.UNAVAILABLE, "The credential helper failed.")


def test_a_malformed_request_fails_the_call() -> None:
    with pytest.raises(RpcError) as raised:
        credentials(lambda _host: ANONYMOUS)({}).receive(b"\xff")

    assert raised.value.code is Code.INTERNAL
