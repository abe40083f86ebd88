"""Pure. Words the refusals of a tenant that is over its limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...errors import TenantLimit

if TYPE_CHECKING:
    from ...tenants.tenant import Limits

_REMEDY = "or have the operator raise your limits"


def line_is_full(limits: Limits, wait: float | None) -> TenantLimit:
    """Refuse a build for which the tenant's line has no place; one is expected in *wait* seconds."""
    running = (
        "" if limits.builds is None else f"{limits.builds} of your builds may run at once, and "
    )
    return TenantLimit(
        f"{running}{limits.waiting} may wait, and so many do. Try again later, send fewer at once "
        f"(faas-cli's --parallel), {_REMEDY}.",
        wait,
    )


def hour_is_full(limits: Limits, wait: float) -> TenantLimit:
    """Refuse a build since so many were begun within an hour; one may be begun in *wait* seconds."""
    return TenantLimit(
        f"You have begun {limits.builds_per_hour} builds within an hour, and may not begin more. Try again "
        f"in {wait / 60:.0f} min, {_REMEDY}.",
        wait,
    )


def wait_is_too_long(wait: float, patience: float) -> TenantLimit:
    """Refuse a build whose turn among its tenant's comes later than its caller would wait for."""
    return TenantLimit(
        f"The build's turn among yours is expected in {wait:.0f} s, and the caller waits {patience:.0f} s at "
        f"most. Try again later, wait longer, {_REMEDY}.",
        wait,
    )
