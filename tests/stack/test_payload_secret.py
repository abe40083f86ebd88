"""The secret that callers sign with."""

import secrets

from stack.running import payload_secret


def test_the_secret_that_the_stack_makes_is_long_enough() -> None:
    assert payload_secret.too_short(secrets.token_urlsafe(payload_secret.SECRET_BYTES)) is None


def test_a_secret_that_can_be_guessed_is_warned_of() -> None:
    assert "5 bytes can be guessed" in str(payload_secret.too_short("hello\n"))
    assert payload_secret.too_short("x" * 31) is not None
    assert payload_secret.too_short("x" * 32 + "\n") is None
