from __future__ import annotations

import pytest

from function.buildkit import ANONYMOUS, Credentials, CredentialsUnavailable
from function.buildkit.rpc.grpc_status import Code, RpcError
from function.buildkit.session.auth import credentials
from function.pb import auth_pb2 as pb


def ask(known: dict[str, Credentials], host: str) -> pb.CredentialsResponse:
    answer = credentials(lambda name: known.get(name, ANONYMOUS))
    message = pb.CredentialsRequest(Host=host).SerializeToString()
    return pb.CredentialsResponse.FromString(answer(message))


def test_hands_out_the_credentials_of_the_registry_asked_for() -> None:
    known = {"a:5000": Credentials("user", "pass"), "b": Credentials("other", "secret")}

    assert ask(known, "a:5000") == pb.CredentialsResponse(Username="user", Secret="pass")


def test_an_unknown_registry_is_spoken_to_without_credentials() -> None:
    assert ask({}, "a") == pb.CredentialsResponse()


def test_credentials_are_looked_up_again_for_each_call() -> None:
    known = {"a": Credentials("user", "old")}
    ask(known, "a")
    known["a"] = Credentials("user", "rotated")

    assert ask(known, "a").Secret == "rotated"


def test_credentials_that_cannot_be_read_fail_the_call_and_say_why() -> None:
    def lookup(_host: str) -> Credentials:
        raise CredentialsUnavailable("The registry credentials cannot be read.")

    with pytest.raises(RpcError, match="cannot be read") as raised:
        credentials(lookup)(b"")

    assert raised.value.code is Code.UNAVAILABLE


def test_a_malformed_request_fails_the_call() -> None:
    with pytest.raises(RpcError) as raised:
        credentials(lambda _host: ANONYMOUS)(b"\xff")

    assert raised.value.code is Code.INTERNAL
