from __future__ import annotations

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from function.errors import NotReady, SignatureError
from function.request.signature import Arriving, Key, sign, verify

BODY = b"exactly these bytes"
KEY = Key("payload-secret", b"s3cret")


def signed(body: bytes, secret: bytes) -> str:
    return "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest()


def test_agrees_with_the_published_test_vector() -> None:
    # RFC 4231, section 4.3.
    vector = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    body = b"what do ya want for nothing?"

    assert verify(body, [f"sha256={vector}"], [Key("jefe", b"Jefe")]).name == "jefe"


@given(body=st.binary(), secret=st.binary(min_size=1).filter(bytes.strip))
def test_accepts_what_a_holder_of_the_secret_signed(body: bytes, secret: bytes) -> None:
    assert verify(memoryview(body), [signed(body, secret)], [Key("k", secret)]).name == "k"


@given(
    body=st.binary(min_size=1),
    flip=st.integers(min_value=0),
    bit=st.integers(min_value=0, max_value=7),
)
def test_rejects_a_body_with_any_one_bit_changed(body: bytes, flip: int, bit: int) -> None:
    changed = bytearray(body)
    changed[flip % len(body)] ^= 1 << bit

    with pytest.raises(SignatureError, match="does not match the body"):
        verify(bytes(changed), [signed(body, KEY.secret)], [KEY])


@pytest.mark.parametrize("signer", [b"s3cret\n", b"s3cret"], ids=["raw, as go-sdk", "trimmed"])
def test_secret_file_with_a_final_newline_serves_both_kinds_of_client(signer: bytes) -> None:
    assert verify(BODY, [signed(BODY, signer)], [Key("k", b"s3cret\n")]).name == "k"


def test_names_the_key_that_matched() -> None:
    keys = [Key("old", b"one"), Key("new", b"two")]

    assert verify(BODY, [signed(BODY, b"two")], keys).name == "new"


def test_accepts_upper_case_digits() -> None:
    value = "sha256=" + signed(BODY, KEY.secret).removeprefix("sha256=").upper()

    assert verify(BODY, [value], [KEY]).name == KEY.name


def test_rejects_a_signature_by_another_secret() -> None:
    with pytest.raises(SignatureError, match="does not match the body"):
        verify(BODY, [signed(BODY, b"other")], [KEY])


def test_rejects_every_signature_where_there_is_no_key() -> None:
    with pytest.raises(SignatureError, match="does not match"):
        verify(BODY, [signed(BODY, b"")], [])


@pytest.mark.parametrize("values", [[], [""], ["  "]])
def test_rejects_a_request_without_a_signature(values: list[str]) -> None:
    with pytest.raises(SignatureError, match="not signed"):
        verify(BODY, values, [KEY])


@pytest.mark.parametrize("separate", [True, False], ids=["two headers", "joined by a comma"])
def test_rejects_a_second_signature_even_if_both_are_right(separate: bool) -> None:
    value = signed(BODY, KEY.secret)

    with pytest.raises(SignatureError, match="sent 2 times"):
        verify(BODY, [value, value] if separate else [f"{value}, {value}"], [KEY])


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("sha256=", id="no digits"),
        pytest.param("0" * 64, id="no algorithm"),
        pytest.param("sha256=" + "0" * 63, id="a digit short"),
        pytest.param("sha256=" + "0" * 65, id="a digit long"),
        pytest.param("sha256=" + "g" * 64, id="not hexadecimal"),
        pytest.param("sha256=" + "٣" * 64, id="digits of another script"),
        pytest.param("sha1=" + "0" * 40, id="another algorithm"),
        pytest.param("sha256=" + "0" * 64 + "\n x", id="a folded line"),
    ],
)
def test_rejects_a_malformed_signature(value: str) -> None:
    with pytest.raises(SignatureError, match="malformed"):
        verify(BODY, [value], [KEY])


@pytest.mark.parametrize("secret", [b"", b" \n"])
def test_a_blank_secret_is_the_operators_to_mend(secret: bytes) -> None:
    with pytest.raises(NotReady, match='"payload-secret" is empty'):
        Key("payload-secret", secret)


def test_neither_a_key_nor_an_error_shows_the_secret() -> None:
    with pytest.raises(SignatureError) as caught:
        verify(BODY, [signed(BODY, b"other")], [KEY])

    assert "s3cret" not in repr(KEY) + str(caught.value)


@pytest.mark.parametrize("signer", [b"s3cret", b"s3cret\n"])
def test_answers_are_signed_with_the_secret_as_the_caller_has_it(signer: bytes) -> None:
    found = verify(BODY, [signed(BODY, signer)], [Key("k", b"s3cret\n")])

    assert found == Key("k", signer)
    assert sign(b"answer", found) == signed(b"answer", signer)


@pytest.mark.parametrize("stored", [b"first", b"first\n"])
def test_a_signature_that_grew_while_the_body_arrived_is_the_same(stored: bytes) -> None:
    keys = [Key("a", stored), Key("b", b"second")]
    body = bytes(range(256)) * 100
    arriving = Arriving(keys)
    for start in range(0, len(body), 1000):
        arriving.update(memoryview(body)[start : start + 1000])

    for secret, name in ((b"first", "a"), (stored, "a"), (b"second", "b")):
        assert verify(body, [sign(body, Key("", secret))], keys, arriving) == Key(name, secret)
    with pytest.raises(SignatureError):
        verify(body, [sign(body, Key("", b"third"))], keys, arriving)


def test_a_signature_of_another_body_or_secret_is_not_taken_for_this_ones() -> None:
    keys = [Key("a", b"first")]
    arriving = Arriving(keys)
    arriving.update(b"another")

    assert arriving.digest(b"body", b"first") is None
    assert arriving.digest(b"another", b"second") is None
    assert verify(b"body", [sign(b"body", keys[0])], keys, arriving) == keys[0]
