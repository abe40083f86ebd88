from __future__ import annotations

import pytest

from function.buildkit import ANONYMOUS, session_services
from function.buildkit.rpc.grpc_status import Code, RpcError
from function.buildkit.session.secrets import GET_SECRET, get_secret
from function.pb import secrets_pb2 as pb

SECRETS = {"token": b"\x00 value \xff", "empty": b""}


def ask(name: str) -> bytes:
    answer = get_secret(SECRETS)(pb.GetSecretRequest(ID=name).SerializeToString())
    return pb.GetSecretResponse.FromString(answer).data


@pytest.mark.parametrize("name", SECRETS)
def test_hands_out_the_secret_asked_for(name: str) -> None:
    assert ask(name) == SECRETS[name]


@pytest.mark.parametrize("name", ["", "other", "tok", "token "])
def test_a_secret_that_the_build_was_not_given_is_not_found(name: str) -> None:
    with pytest.raises(RpcError) as raised:
        ask(name)

    assert raised.value.code is Code.NOT_FOUND


def test_a_malformed_request_fails_the_call() -> None:
    with pytest.raises(RpcError) as raised:
        get_secret(SECRETS)(b"\xff")

    assert raised.value.code is Code.INTERNAL


def test_a_build_without_secrets_offers_none() -> None:
    assert GET_SECRET not in session_services({}, lambda _host: ANONYMOUS)
    assert GET_SECRET in session_services({}, lambda _host: ANONYMOUS, SECRETS)
