"""Pure. Facts about a request, and about the build it came to, once that has ended: as values.

The log line and the metrics are made from the same report, so that they agree.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..buildkit import BUILD, EXPORT, PULL, PUSH, TRANSFER

if TYPE_CHECKING:
    from collections.abc import Mapping

SUCCESS = "success"  # an outcome; the others are the codes of errors

# The phases of a build, in order. The first three are ours; on the others see buildkit/progress/phases.py.
VERIFY, UNPACK, WAIT = "verify", "unpack", "wait"
PHASES = (VERIFY, UNPACK, WAIT, TRANSFER, PULL, BUILD, EXPORT, PUSH)


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A request that is about to become a build. *call_id* is OpenFaaS' (X-Call-Id), and may be anything."""

    call_id: str = ""
    body_bytes: int = 0
    phases: Mapping[str, float] = field(default_factory=dict)  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildReport:
    """A build that ended. Texts hold no secrets any more; durations are in seconds."""

    build_id: str
    image: str
    key: str  # the name of the key that signed the request
    tenant: str = ""  # whose it is; "" where there are no tenants, and of an operator's
    outcome: str  # SUCCESS, or the error's code
    duration: float
    arrival: Arrival
    own_fault: bool = False  # the builder's, rather than the request's or its caller's
    error: str = ""
    digest: str = ""
    size: int = 0  # of the image, in bytes
    pushed_bytes: int = 0  # the same, if the image was pushed
    phases: Mapping[str, float] = field(default_factory=dict)
    sent_bytes: int = 0  # to the daemon, of the context
    steps: int = 0  # of the Dockerfile, as far as it came
    cache_hits: int = 0
