"""Pure. Refuses what was signed too long ago, or with a clock that is wrong."""

from __future__ import annotations

from ..errors import RequestExpired


def require_recent(signed_at: float, now: float, max_age: float) -> None:
    """Raise RequestExpired unless *signed_at* is within *max_age* of *now*, before or after; in seconds."""
    if abs(now - signed_at) > max_age:
        raise RequestExpired(
            f"The request was signed {abs(now - signed_at):.0f} s "
            f"{'ago' if signed_at < now else 'from now'}, and {max_age:.0f} s are the most: sign it "
            "when it is sent, with a clock that is right."
        )


def require_fresh(signed_at: float | None, nonce: str, now: float, max_age: float) -> None:
    """Require of a build's config a recent time, and a nonce. Raises RequestExpired."""
    if signed_at is None or not nonce:
        raise RequestExpired(
            'This builder takes no request that could be sent again for ever: put "time", in seconds since '
            '1970, and "nonce", a random word, into com.openfaas.docker.config, as build.py does; or have '
            "the operator unset request_max_age."
        )
    require_recent(signed_at, now, max_age)
