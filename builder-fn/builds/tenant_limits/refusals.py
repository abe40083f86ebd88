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
        "Of your builds "
        if limits.builds is None
        else f"{limits.builds} of your builds may run at once, and "
    )
    waiting = f"{limits.waiting} may wait, and so many do" if limits.waiting else "none may wait"
    return TenantLimit(
        f"{running}{waiting}. Try again later, send fewer at once (faas-cli's --parallel), {_REMEDY}.",
        wait,
    )


def hour_is_full(limits: Limits, wait: float) -> TenantLimit:
    """Refuse a build since so many were begun within an hour; one may be begun in *wait* seconds."""
    builds = "1 build" if limits.builds_per_hour == 1 else f"{limits.builds_per_hour} builds"
    return TenantLimit(
        f"You have begun {builds} within an hour, and may not begin more. Try again "
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
