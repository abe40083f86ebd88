"""Pure. Splits a build's platforms into those that the same daemons build.

A daemon lists what it can run, its native platform first (moby/buildkit v0.32.2 util/archutil/detect.go);
what it does not run natively it emulates, ten times as slowly. So a platform is built by those daemons that
are best at it, as long as there are any, and platforms that have the same best daemons are built together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..tenants.platforms import normal_platform

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# An architecture whose processors run the other's programs, too.
_KIN = {"386": "amd64", "arm": "arm64"}


@dataclass(frozen=True, slots=True)
class PlatformPool:
    """The platforms that are built in one go, as they were asked for, and the daemons that may do so.

    Without platforms it is the daemons' own.
    """

    platforms: tuple[str, ...]
    worker_ids: frozenset[str]

    @property
    def label(self) -> str:
        return ",".join(self.platforms)


def split(wanted: Sequence[str], daemons: Mapping[str, Sequence[str]]) -> tuple[PlatformPool, ...]:
    """Split the platforms *wanted* among *daemons*, which are told by worker id with all that they list.

    In the order in which they are wanted, each once. Without any wanted, the daemons are those of one native
    platform: of the first by name if there are several, lest an image's platform change with its daemon.
    """
    listed = {worker_id: tuple(map(normal_platform, texts)) for worker_id, texts in daemons.items()}
    if not wanted:
        native = min((texts[0] for texts in listed.values() if texts), default="")
        own = frozenset(each for each, texts in listed.items() if texts[:1] == (native,))
        return (PlatformPool((), own or frozenset(listed)),)
    by_daemons: dict[frozenset[str], dict[str, str]] = {}
    for text in wanted:
        platform = normal_platform(text)
        by_daemons.setdefault(_best(platform, listed), {}).setdefault(platform, text)
    return tuple(
        PlatformPool(tuple(texts.values()), worker_ids) for worker_ids, texts in by_daemons.items()
    )


def _best(platform: str, listed: Mapping[str, Sequence[str]]) -> frozenset[str]:
    ranks = {worker_id: _rank(platform, texts) for worker_id, texts in listed.items()}
    best = min(ranks.values(), default=0)
    return frozenset(worker_id for worker_id, rank in ranks.items() if rank == best)


def _rank(platform: str, listed: Sequence[str]) -> int:
    """Return how far a daemon is from running *platform* by itself; 0 if it is its own."""
    if platform not in listed:
        return 4
    if listed[0] == platform:
        return 0
    architecture, native = _machine(platform), _machine(listed[0])
    if native == architecture:
        return 1
    kin = (architecture[0], _KIN.get(architecture[1], ""))
    return 2 if native == kin else 3


def _machine(platform: str) -> tuple[str, str]:
    os, _, rest = platform.partition("/")
    return os, rest.partition("/")[0]
