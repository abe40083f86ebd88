"""Signatures of scripts/build.py, verified by the builder, and the other way round."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from build_client.errors import UntrustedError
from build_client.protocol.signature import HEADER, RESULT_HEADER, require_signed, sign
from hypothesis import given
from hypothesis import strategies as st

from function.request import signature as theirs

secrets = st.binary(min_size=1).filter(bytes.strip)


def test_the_headers_are_the_builders() -> None:
    assert (HEADER, RESULT_HEADER) == (theirs.HEADER, theirs.RESULT_HEADER)


def test_signs_the_exact_bytes_with_the_secret_trimmed() -> None:
    expected = hmac.new(b"key", b"body", hashlib.sha256).hexdigest()

    assert sign(b"body", b" key\n") == f"sha256={expected}"


@given(body=st.binary(), secret=secrets)
def test_an_answer_signed_with_the_requests_key_is_believed(body: bytes, secret: bytes) -> None:
    key = theirs.verify(body, [sign(body, secret)], [theirs.Key("payload-secret", secret)])

    require_signed(b"the answer", theirs.sign(b"the answer", key), secret)


@pytest.mark.parametrize(
    "signature",
    [
        sign(b"other", b"key"),
        sign(b"body", b"other"),
        sign(b"body", b"key").upper(),
        "sha256=",
        "",
        "é",
    ],
)
def test_any_other_signature_is_not(signature: str) -> None:
    with pytest.raises(UntrustedError, match="not what the builder signed"):
        require_signed(b"body", signature, b"key")
