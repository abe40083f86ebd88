"""Pure. Describes a build as it was asked for, and names the id that it will be known by."""

from __future__ import annotations

import hashlib
import math
import secrets
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..daemons.rendezvous import key_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..request.bundle import Bundle
    from ..telemetry.build_report import Arrival
    from ..tenants import Principal

_ID_DIGITS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """*principal* asks for it; *patience*, in seconds, is how long the caller would wait in line.

    One that is *claimed* is on record from now on. One that is to be built *once* is claimed as well, and may
    come again under its id.
    """

    build_id: str
    bundle: Bundle
    principal: Principal
    arrival: Arrival
    caller_gone: Callable[[], bool]
    claimed: bool = False
    once: bool = False
    detached: bool = False
    patience: float = math.inf

    def without_sources(self) -> Job:
        """Return what there is to say of a build that has ended; the request's body can go."""
        return replace(self, bundle=self.bundle.without_sources())

    @property
    def annotations(self) -> Mapping[str, str]:
        """The words that the build's record says of it."""
        image = self.bundle.config.image
        return {"image": image.text, "name": image.untagged, **self.principal.annotations}


def new_id(image_name: str) -> str:
    """Make an id that begins with the image's key, and so tells where to ask for the build."""
    return (key_of(image_name) + secrets.token_hex(_ID_DIGITS // 2))[:_ID_DIGITS]


def id_of_call(image_name: str, call_id: str, body_digest: str, tenant: str = "") -> str:
    """Return the same id for the same call with the same body, which a queue may deliver twice.

    Another *tenant* never comes to it, by its name, in which there is no "/".
    """
    said = f"{tenant}{'/' if tenant else ''}{len(call_id)}:{call_id}{body_digest}"
    own = hashlib.sha256(said.encode(errors="surrogateescape")).hexdigest()
    return (key_of(image_name) + own)[:_ID_DIGITS]
