from __future__ import annotations

import pytest

from function.buildkit.auth import credentials
from function.buildkit.grpc_status import Code, RpcError
from function.errors import NotReady
from function.pb import auth_pb2 as pb
from function.registry_auth import ANONYMOUS, Credentials
from function.wire import MESSAGE_PREFIX


def ask(known: dict[str, Credentials], host: str) -> pb.CredentialsResponse:
    call = credentials(lambda name: known.get(name, ANONYMOUS))({})
    call.receive(pb.CredentialsRequest(Host=host).SerializeToString())
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


def test_a_malformed_request_fails_the_call() -> None:
    with pytest.raises(RpcError) as raised:
        credentials(lambda _host: ANONYMOUS)({}).receive(b"\xff")

    assert raised.value.code is Code.INTERNAL
