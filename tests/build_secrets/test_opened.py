"""Envelopes as build_client seals them."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

import pytest
from build_client.secrets import sealing

from function.build_secrets.envelope import SealingKey
from function.build_secrets.opened import REGISTRY_AUTH, BuildSecrets
from function.buildkit import Credentials
from function.errors import SecretsError

if TYPE_CHECKING:
    from collections.abc import Mapping

KEY = SealingKey("build-secrets-key", bytes(range(32)))


def opened(secrets: Mapping[str, bytes]) -> BuildSecrets:
    return BuildSecrets.opened(sealing.seal(secrets, base64.b64decode(KEY.public_key)), [KEY])


def test_credentials_for_registries_are_for_no_step() -> None:
    auth = {"auths": {"ghcr.io": {"username": "ada", "password": "pass: wörd"}}}
    secrets = opened({"token": b"s", REGISTRY_AUTH: json.dumps(auth).encode()})

    assert secrets.mounted == {"token": b"s"}
    assert secrets.registry_auth.credentials("ghcr.io") == Credentials("ada", "pass: wörd")
    assert {b"s", "pass: wörd".encode()} < set(secrets.values)


@pytest.mark.parametrize("name", ["username", "password", "identitytoken"])
def test_credentials_that_are_no_text_are_the_callers_to_mend(name: str) -> None:
    entry = {"username": "u", "password": "p"} | {name: "hunter2\ud800"}

    secrets = opened({REGISTRY_AUTH: json.dumps({"auths": {"x": entry}}).encode()})

    with pytest.raises(SecretsError, match="half a surrogate pair") as raised:
        secrets.registry_auth.credentials("x")

    assert "hunter2" not in str(raised.value)
