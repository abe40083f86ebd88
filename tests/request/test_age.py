from __future__ import annotations

import pytest

from function.errors import RequestExpired
from function.request.age import require_fresh, require_recent

NOW = 1_800_000_000.0


@pytest.mark.parametrize("signed_at", [NOW, NOW - 300, NOW + 300])
def test_takes_what_was_signed_within_the_age_allowed(signed_at: float) -> None:
    require_recent(signed_at, NOW, 300)
    require_fresh(signed_at, "n", NOW, 300)


@pytest.mark.parametrize("signed_at", [NOW - 301, NOW + 301, 0])
def test_refuses_what_was_signed_long_ago_or_in_the_future(signed_at: float) -> None:
    with pytest.raises(RequestExpired, match="sign it when it is sent"):
        require_recent(signed_at, NOW, 300)


@pytest.mark.parametrize(("signed_at", "nonce"), [(None, "n"), (NOW, "")])
def test_refuses_a_build_that_could_be_ordered_again_for_ever(
    signed_at: float | None, nonce: str
) -> None:
    with pytest.raises(RequestExpired, match='"nonce", a random word'):
        require_fresh(signed_at, nonce, NOW, 300)
