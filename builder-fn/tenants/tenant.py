"""Pure. Describes a tenant: a customer who trusts neither another one nor their builds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from ..registry.docker_config import RegistryAuth
from .policy import Policy

if TYPE_CHECKING:
    from ..build_secrets.envelope import SealingKey
    from ..registry.reference import Reference
    from ..request.signature import Key
    from .patterns import ImagePattern

_Number = TypeVar("_Number", int, float)

# Whether a step that another tenant has run may be served from the cache.
ISOLATED, SHARED = CACHES = "isolated", "shared"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """A tenant's own limits; the settings' hold as well, and where one is None they alone."""

    builds: int | None = None  # at once, over all replicas
    waiting: int | None = None  # in line
    builds_per_hour: int | None = None
    body_bytes: int | None = None
    context_bytes: int | None = None
    context_entries: int | None = None
    build_timeout: float | None = None  # seconds


def least(limit: _Number | None, most: _Number) -> _Number:
    """Return the smaller one of a tenant's *limit*, if it has one, and the settings'."""
    return most if limit is None else min(limit, most)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """A tenant as the file describes it. Nothing in it is another's, or the operator's."""

    name: str
    keys: tuple[Key, ...]
    images: tuple[ImagePattern, ...] = ()  # that it may push
    registry_auth: RegistryAuth = field(default_factory=RegistryAuth)
    sealing_keys: tuple[SealingKey, ...] = ()  # the one to hand out first
    limits: Limits = field(default_factory=Limits)
    share: int = 1  # turns in the fair line, for one of another tenant's
    callback_hosts: tuple[str, ...] = ()
    buildkit_urls: tuple[str, ...] = ()  # a pool of its own; none for that of the settings
    cache: str = ISOLATED
    policy: Policy = field(default_factory=Policy)

    def may_push(self, reference: Reference) -> bool:
        return any(pattern.covers(reference) for pattern in self.images)
