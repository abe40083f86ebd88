"""The envelope by PyNaCl's other end, by faas-cli where it is on PATH, and as faas-cli once wrote it."""

from __future__ import annotations

import base64
import re
import shutil
import subprocess
import traceback
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from nacl.public import Box, PrivateKey, PublicKey

from function.build_secrets.envelope import MAX_SECRET_BYTES, MAX_SECRETS, SealingKey, open_envelope
from function.errors import NotReady, SecretsError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

KEY = SealingKey("build-secrets-key", bytes(range(32)))
OLD_KEY = SealingKey("build-secrets-key-old", bytes(range(32, 64)))
SENDER = PrivateKey(b"sender".ljust(32))

# Written by faas-cli 0.18.12: `secret keygen` and `secret seal`.
FAAS_CLI_KEY = b"vjR5kkFMBTMvSTP68WVtiafeI2RyIyTS43BeI3GuUcA="
FAAS_CLI_PUBLIC_KEY = "YI+k0eNnN2iLwgjGVAZdkgGfJwGeiAaH4NI8ikfBiyw="
FAAS_CLI_ENVELOPE = f"""\
version: v1
algorithm: nacl/box
key_id: YI+k0eNn
public_key: C114FfZPYWOt7ynjpb2ciNeuajiOGmOVguBpx5nrNj4=
secrets:
    <<: wkC16DKiLXNesj6zWNqTL9vTQVgaz+aMFjttWKFz9+mk0tXik4tG0vh7oH69
    ca.crt: +ZWwc0qEXYD1JwpstNwVUf1qKvGLUt1dJzvS75Vz3M83YGZkOJCp83KyAzOG
    "null": hhz9ksvW/RG5iSu/LnQ2OHn75KyGABhT8nzAiBwJc69qnBX8T0FpEA==
    pip_token: DsaecaGgmDs1o3MVZXq5nFrzn6PThoUHpjQTFOY4pjwpRUMelbmgZtbgrSOjfA==
    schlüssel: V5+jCdWcvsJ8NGG8uglNLO6pJe83q6GrJ9NrfLR++ySK/dqjXJppTqg=
    ? {"x" * 130}
    : YJXLOEtEG/V0QSHszzOWef5jxsJhIx+M7679dL4gcA8trnooADp67sTrkS0=
    "yes": pwlTMBbafDg4kQx3Jzio4eFFxTlNOVHl7a1NUro0FhydT89hM/CM8Hc=
"""

names = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1, max_size=60)


def public_key(key: SealingKey) -> PublicKey:
    return PublicKey(base64.b64decode(key.public_key))


def sealed(value: bytes, key: SealingKey = KEY) -> str:
    return base64.b64encode(Box(SENDER, public_key(key)).encrypt(value)).decode()


def envelope(
    secrets: Mapping[str, bytes], key: SealingKey = KEY, /, **fields: Any
) -> dict[str, Any]:
    return {
        "version": "v1",
        "algorithm": "nacl/box",
        "key_id": key.key_id,
        "public_key": base64.b64encode(bytes(SENDER.public_key)).decode(),
        "secrets": {name: sealed(value, key) for name, value in secrets.items()},
        **fields,
    }


def document(secrets: Mapping[str, bytes], key: SealingKey = KEY, /, **fields: Any) -> memoryview:
    return memoryview(yaml.safe_dump(envelope(secrets, key, **fields)).encode())


def refusal(text: bytes | memoryview, *keys: SealingKey) -> str:
    with pytest.raises(SecretsError) as raised:
        open_envelope(text, keys or [KEY])
    return str(raised.value)


def test_opens_what_faas_cli_sealed() -> None:
    key = SealingKey.from_file("build-secrets-key", FAAS_CLI_KEY)

    assert open_envelope(FAAS_CLI_ENVELOPE.encode(), [key]) == {
        "<<": b"merge",
        "ca.crt": b"a\0b\xff\n",
        "null": b"",
        "pip_token": b"s3cr3t",
        "schlüssel": b"x",
        "x" * 130: b"long",
        "yes": b"1",
    }


@given(secrets=st.dictionaries(names, st.binary(max_size=200), max_size=5))
def test_opens_what_was_sealed_for_it(secrets: dict[str, bytes]) -> None:
    assert open_envelope(document(secrets), [OLD_KEY, KEY]) == secrets


@given(value=st.binary(max_size=50), at=st.integers(min_value=0), bit=st.integers(0, 7))
def test_opens_nothing_of_which_one_bit_was_changed(value: bytes, at: int, bit: int) -> None:
    changed = bytearray(base64.b64decode(sealed(value)))
    changed[at % len(changed)] ^= 1 << bit
    secrets = {"token": base64.b64encode(changed).decode()}

    assert '"token" does not open' in refusal(document({}, secrets=secrets))


@pytest.mark.parametrize("key", [KEY, OLD_KEY])
def test_opens_with_the_key_that_the_envelope_names(key: SealingKey) -> None:
    assert open_envelope(document({"a": b"b"}, key), [KEY, OLD_KEY]) == {"a": b"b"}


@pytest.mark.parametrize("key_id", ["", None])
@pytest.mark.parametrize("key", [KEY, OLD_KEY])
def test_tries_every_key_where_the_envelope_names_none(key: SealingKey, key_id: str | None) -> None:
    anonymous = envelope({"a": b"b"}, key)
    del anonymous["key_id"]

    assert open_envelope(document({"a": b"b"}, key, key_id=key_id), [KEY, OLD_KEY]) == {"a": b"b"}
    assert open_envelope(yaml.safe_dump(anonymous).encode(), [KEY, OLD_KEY]) == {"a": b"b"}


def test_does_not_try_a_key_that_the_envelope_does_not_name() -> None:
    misled = document({"a": b"b"}, OLD_KEY, key_id=KEY.key_id)

    assert '"a" does not open: it was sealed for another key' in refusal(misled, KEY, OLD_KEY)


def test_takes_base64_in_lines_and_envelopes_with_more_fields() -> None:
    value = re.sub("(.{20})", r"\1\n", sealed(b"a" * 60))

    assert open_envelope(
        document({}, secrets={"a": f"  {value}\n"}, sealed_by="us", more=[{}]), [KEY]
    ) == {"a": b"a" * 60}


def test_an_envelope_may_be_empty_of_secrets() -> None:
    assert open_envelope(document({}), [KEY]) == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(b"", "cannot be read: it is empty", id="nothing"),
        pytest.param(b"\xff\xff", "cannot be read: it is not text", id="bytes"),
        pytest.param(b"a: b\n  c: d", "cannot be read: line 2 is not YAML", id="bad syntax"),
        pytest.param(b"a: &x b", "cannot be read: line 1 has an anchor", id="an anchor"),
        pytest.param(b"hello", "must be a YAML mapping", id="text"),
        pytest.param(b"- version: v1", "must be a YAML mapping", id="a list"),
    ],
)
def test_refuses_what_is_no_envelope(text: bytes, message: str) -> None:
    assert f"com.openfaas.secrets {message}" in refusal(text)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"version": "v2"}, 'has the version "v2"; this builder opens the version "v1"'),
        ({"version": None}, 'has no version; this builder opens the version "v1"'),
        ({"algorithm": "age"}, 'the algorithm "age"; this builder opens the algorithm "nacl/box"'),
        ({"algorithm": []}, 'has no algorithm; this builder opens the algorithm "nacl/box"'),
        ({"key_id": ["a"]}, "key_id in com.openfaas.secrets must be text"),
        ({"public_key": None}, "public_key in com.openfaas.secrets must be the sender's"),
        ({"public_key": "*"}, "public_key in com.openfaas.secrets must be the sender's"),
        ({"public_key": "ü"}, "public_key in com.openfaas.secrets must be the sender's"),
        ({"public_key": "YWJj"}, "public_key in com.openfaas.secrets must be the sender's"),
        ({"public_key": "A" * 43 + "="}, "public_key in com.openfaas.secrets is no key that seals"),
        ({"secrets": None}, "secrets in com.openfaas.secrets must be a mapping of names"),
        ({"secrets": ["a"]}, "secrets in com.openfaas.secrets must be a mapping of names"),
    ],
)
def test_refuses_an_envelope_by_the_field_that_is_wrong(
    fields: dict[str, Any], message: str
) -> None:
    assert message in refusal(document({"a": b"b"}, **fields))


def test_names_the_keys_that_it_has_when_the_envelope_is_for_another() -> None:
    message = refusal(document({"a": b"b"}, key_id="abcdefgh"), KEY, OLD_KEY)

    assert 'sealed for the key "abcdefgh"' in message
    assert f'this builder has "{KEY.key_id}" and "{OLD_KEY.key_id}"' in message
    assert "fetch /publickey again" in message


@pytest.mark.parametrize(
    ("value", "message"),
    [
        pytest.param(None, '"tok" is not base64', id="nothing"),
        pytest.param(["YQ=="], '"tok" is not base64', id="a list"),
        pytest.param("hunter2!", '"tok" is not base64', id="plain text"),
        pytest.param("schlüssel", '"tok" is not base64', id="plain text in Unicode"),
        pytest.param("YWJj" * 14 + "YQ", '"tok" is not base64', id="no padding"),
        pytest.param("_-_-" * 20, '"tok" is not base64', id="base64 for URLs"),
        pytest.param("", '"tok" is too short: it must be', id="empty"),
        pytest.param("YWJj" * 13, '"tok" is too short: it must be', id="a nonce and no box"),
        pytest.param("YWJj" * 14, '"tok" does not open', id="a box of something else"),
    ],
)
def test_refuses_a_value_by_the_name_of_its_secret(value: object, message: str) -> None:
    assert message in refusal(document({}, secrets={"fine": sealed(b"a"), "tok": value}))


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("", '""'),
        ("a\0b", r'"a\\x00b"'),
        ("two\nlines", r'"two\\nlines"'),
        ("\x7f", r'"\\x7f"'),
        ("ü" * 128, '"' + "ü" * 120),
        ("n" * 256, '"' + "n" * 120),
    ],
)
def test_refuses_names_that_no_mount_could_have(name: str, shown: str) -> None:
    assert re.match(f"{shown}.* cannot be the id of a secret mount", refusal(document({name: b""})))


def test_takes_the_longest_name_there_is() -> None:
    assert open_envelope(document({"n" * 255: b""}), [KEY]) == {"n" * 255: b""}


def test_refuses_a_name_that_stands_there_twice() -> None:
    twin = f"secrets:\n  token: {sealed(b'b')}\n".encode()
    text = bytes(document({"token": b"a"})).replace(b"secrets:\n", twin)

    assert 'has the key "token" again' in refusal(text)


def test_takes_as_much_as_buildkit_mounts_and_no_more() -> None:
    most = b"m" * MAX_SECRET_BYTES

    assert open_envelope(document({"big": most}), [KEY]) == {"big": most}
    assert f'"big" has {MAX_SECRET_BYTES + 1} bytes' in refusal(document({"big": most + b"!"}))


def test_takes_as_many_secrets_as_it_says_and_no_more() -> None:
    most = {f"s{number}": b"" for number in range(MAX_SECRETS)}

    assert open_envelope(document(most), [KEY]) == most
    assert f"has {MAX_SECRETS + 1} secrets" in refusal(document({**most, "one more": b""}))


def test_without_a_key_the_builder_is_not_ready() -> None:
    with pytest.raises(NotReady, match="create the OpenFaaS secret build-secrets-key"):
        open_envelope(document({"a": b"b"}), [])


def test_a_request_that_is_wrong_anyway_is_refused_without_a_key_too() -> None:
    with pytest.raises(SecretsError, match="has no version"):
        open_envelope(b"{}", [])


@pytest.mark.parametrize(
    "text",
    [
        b"secrets: hunter2",
        b"version: v1\nalgorithm: nacl/box\npublic_key: hunter2",
        b"secrets:\n  token: hunter2: x",
        b"secrets:\n  token: &hunter2 x",
        bytes(document({}, secrets={"token": "hunter2"})),
        bytes(document({}, secrets={"token": base64.b64encode(b"hunter2").decode()})),
        bytes(document({}, secrets={"fine": sealed(b"hunter2"), "other": sealed(b"x", OLD_KEY)})),
    ],
)
def test_no_error_and_no_cause_of_one_carries_a_value(text: bytes) -> None:
    with pytest.raises(SecretsError) as raised:
        open_envelope(text, [KEY])

    told = "".join(traceback.format_exception(raised.value))
    assert "hunter2" not in told
    assert base64.b64encode(b"hunter2").decode() not in told
    assert base64.b64encode(KEY.private_key).decode() not in told


@pytest.mark.parametrize("content", [FAAS_CLI_KEY, b"  " + FAAS_CLI_KEY + b"\r\n"])
def test_reads_a_key_as_faas_cli_writes_it(content: bytes) -> None:
    key = SealingKey.from_file("build-secrets-key", content)

    assert key.public_key == FAAS_CLI_PUBLIC_KEY
    assert key.key_id == "YI+k0eNn"


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"not base64!", b"YWJj", b"\xff" * 44, FAAS_CLI_KEY * 2, bytes(32)]
)
def test_a_key_that_is_none_is_told_by_its_file(content: bytes) -> None:
    with pytest.raises(NotReady, match='"build-secrets-key-2" for build secrets cannot be used'):
        SealingKey.from_file("build-secrets-key-2", content)


def test_a_key_does_not_show_its_private_half() -> None:
    assert repr(KEY) == "SealingKey(name='build-secrets-key')"


@pytest.fixture
def faas_cli(tmp_path: Path) -> Any:
    program = shutil.which("faas-cli")
    if program is None:
        pytest.skip("faas-cli is not on PATH")

    def run(*arguments: str) -> bytes:
        return subprocess.run(
            [program, "secret", *arguments], cwd=tmp_path, check=True, capture_output=True
        ).stdout

    return run


def test_opens_what_faas_cli_seals_here(faas_cli: Any, tmp_path: Path) -> None:
    faas_cli("keygen", "-o", "key")
    (tmp_path / "file").write_bytes(bytes(range(256)) * 100)
    odd = ["yes", "12", "1e5", "a: b", "#c", "'", '"', " padded ", "{}", "é", "😀", "n" * 255]
    literals = [f"--from-literal={name}=value of {name}" for name in odd]

    faas_cli("seal", "key.pub", "--from-file=file=file", *literals)

    key = SealingKey.from_file("key", (tmp_path / "key").read_bytes())
    opened = open_envelope((tmp_path / "com.openfaas.secrets").read_bytes(), [key])
    assert opened.pop("file") == bytes(range(256)) * 100
    assert opened == {name: f"value of {name}".encode() for name in odd}


def test_faas_cli_derives_the_same_key_id(faas_cli: Any, tmp_path: Path) -> None:
    said = faas_cli("keygen", "-o", "key").decode()

    key = SealingKey.from_file("key", (tmp_path / "key").read_bytes())
    assert f"{key.key_id}\n" in said
    assert key.public_key == (tmp_path / "key.pub").read_text()
