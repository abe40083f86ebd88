"""Values that scripts/build.py seals, opened by the builder and by faas-cli."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from build_client.errors import UsageError
from build_client.secrets import sealing
from hypothesis import given
from hypothesis import strategies as st

from function.build_secrets.envelope import SealingKey, open_envelope

if TYPE_CHECKING:
    from pathlib import Path

KEY = SealingKey("build-secrets-key", bytes(range(32)))
PUBLIC_KEY = base64.b64decode(KEY.public_key)

names = st.text(min_size=1, max_size=60).filter(str.isprintable)


@given(secrets=st.dictionaries(names, st.binary(max_size=100), max_size=4))
def test_the_builder_opens_what_is_sealed_for_it(secrets: dict[str, bytes]) -> None:
    assert open_envelope(sealing.seal(secrets, PUBLIC_KEY), [KEY]) == secrets


def test_equal_secrets_are_sealed_to_other_bytes_each_time() -> None:
    envelopes = [sealing.seal({"a": b"s", "b": b"s"}, PUBLIC_KEY) for _ in range(2)]
    values = [line for text in envelopes for line in text.splitlines() if line.startswith(b"  ")]

    assert len({line.partition(b": ")[2] for line in values}) == 4


@pytest.mark.parametrize(
    "document",
    [
        KEY.public_key,
        f"  {KEY.public_key}\n",
        json.dumps({"public_key": KEY.public_key}),
        json.dumps({"public_key": KEY.public_key, "algorithm": "", "key_id": KEY.key_id}),
        json.dumps({"public_key": KEY.public_key, "algorithm": "nacl/box"}, indent=1),
    ],
)
def test_takes_a_public_key_in_every_form_that_faas_cli_takes(document: str) -> None:
    assert sealing.public_key(document.encode(), "it") == PUBLIC_KEY


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        (b"", "key.pub has no public key of a builder"),
        (b"\xff", "key.pub has no public key of a builder"),
        (b"YWJj", "key.pub has no public key of a builder"),
        (b"{", "key.pub has no public key of a builder"),
        (b"{}", "key.pub has no public key of a builder"),
        (b"[]", "key.pub has no public key of a builder"),
        (b'{"algorithm": "age"}', "key.pub wants secrets sealed in a way that is not known here"),
    ],
)
def test_says_what_holds_no_public_key(document: bytes, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        sealing.public_key(document, "key.pub")


@pytest.mark.skipif(shutil.which("faas-cli") is None, reason="faas-cli is not on PATH")
def test_faas_cli_unseals_what_is_sealed(tmp_path: Path) -> None:
    secrets = {"token": b"s3cr3t", "null": b"", "12": b"1", "a: b # c": b"2", 'é😀"\\': b"\n"}
    (tmp_path / "key").write_bytes(base64.b64encode(KEY.private_key))
    (tmp_path / "com.openfaas.secrets").write_bytes(sealing.seal(secrets, PUBLIC_KEY))

    command = ["faas-cli", "secret", "unseal", "key", "--json"]
    unsealed = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)

    assert json.loads(unsealed.stdout) == {name: text.decode() for name, text in secrets.items()}
