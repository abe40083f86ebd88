"""Pure. Reads what builds may use, by the operator's file: for all, and for one tenant more narrowly."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError
from ..quoting import quoted
from ..registry.reference import Reference
from .platforms import normal_platform
from .reading import Malformed, members, named, one_of, refusal, text, texts, unnamed
from .source_patterns import SourcePattern, Sources

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .reading import Where

_NETWORKS = ("default", "none")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_SIZE = re.compile(r"([1-9][0-9]*) ?(B|KiB|MiB|GiB|TiB)")
_UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
# runc does not start in less than 6 MiB, and a shell wants some, too.
_LEAST_MEMORY = 16 << 20
_LEAST_CPUS, _MOST_CPUS = 0.01, 1024


class Digests(enum.IntEnum):
    """Says what a base image's name needs beside its tag; the later one is the narrower."""

    ANY = 0
    REQUIRED = 1  # a digest, the caller's own or the table's
    PINNED = 2  # the table's digest, and no other


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Restricts nothing where it says nothing."""

    images: Sources = field(
        default_factory=Sources
    )  # that FROM, COPY --from and `# syntax=` may name
    # That may read a Dockerfile in BuildKit's stead. None where only BuildKit's own can be trusted with what
    # else is restricted; else all.
    frontends: Sources | None = None
    hosts: Sources = field(default_factory=Sources)  # of ADD from http and git
    git: Sources = field(default_factory=Sources)  # repositories, at those hosts
    network: bool = True  # in steps
    platforms: tuple[str, ...] | None = None  # of the image; None for all
    digests: Digests = Digests.ANY
    pins: Mapping[str, str] = field(default_factory=dict)  # digest by canonical name and tag
    memory: int | None = None  # bytes of one step
    cpus: float | None = None  # that one step may use
    contact: str = ""  # whom to ask about a refusal

    def narrowed(self, by: Policy) -> Policy:
        """Return this policy with all that *by* forbids, too; nothing is allowed that was not."""
        pins = dict(self.pins)
        if self.digests is not Digests.PINNED:  # a longer table would allow more images
            pins = {**by.pins, **self.pins}
        if by.digests is Digests.PINNED:
            pins = {name: pins[name] for name in pins if name in by.pins}
        return Policy(
            images=self.images.narrowed(by.images),
            frontends=_both(self.frontends, by.frontends, Sources.narrowed),
            hosts=self.hosts.narrowed(by.hosts),
            git=self.git.narrowed(by.git),
            network=self.network and by.network,
            platforms=_both(
                self.platforms,
                by.platforms,
                lambda ours, theirs: tuple(each for each in theirs if each in ours),
            ),
            digests=max(self.digests, by.digests),
            pins=pins,
            memory=_both(self.memory, by.memory, min),
            cpus=_both(self.cpus, by.cpus, min),
            contact=by.contact or self.contact,
        )


def parsed(document: object, where: Where) -> Policy:
    """Read the policy that stands at *where*. Raises Malformed."""
    found = members(document, where, _READERS)
    values = {
        _READERS[name][0]: _READERS[name][1](value, where.member(name))
        for name, value in found.items()
    }
    policy = Policy(**values)
    if policy.digests is Digests.PINNED and not policy.pins:
        raise Malformed(
            where.member("digests"),
            'is "pinned", so there must be "pins": without one no image may be used',
        )
    return policy


def _sources(
    pattern: Callable[[str], SourcePattern],
) -> Callable[[object, Where], Sources]:
    def read(value: object, where: Where) -> Sources:
        lists = {
            name: tuple(
                _pattern(pattern, written, where.member(name).item(position))
                for position, written in enumerate(texts(each, where.member(name)))
            )
            for name, each in members(value, where, ("allow", "deny")).items()
        }
        return Sources(lists.get("allow"), lists.get("deny", ()))

    return read


def _pattern(pattern: Callable[[str], SourcePattern], written: str, where: Where) -> SourcePattern:
    try:
        return pattern(written)
    except ValueError as exc:
        raise Malformed(where, str(exc), public=unnamed(str(exc))) from exc


def _platforms(value: object, where: Where) -> tuple[str, ...]:
    found = []
    for position, platform in enumerate(texts(value, where)):
        try:
            found.append(normal_platform(platform))
        except ValueError:
            wanted = 'must be a platform such as "linux/amd64"'
            raise Malformed(
                where.item(position), f"{wanted}, not {quoted(platform)}", public=wanted
            ) from None
    if not found:
        raise Malformed(where, "is empty, so that nothing could be built")
    return tuple(dict.fromkeys(found))


def _pins(value: object, where: Where) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for position, (name, digest) in enumerate(named(value, where).items()):
        at = where.tenant(name, position)
        try:
            reference = Reference.parse(name)
        except ConfigError as exc:
            raise Malformed(at, f"is no image's name: {exc}", public="is no image's name") from exc
        if reference.digest:
            raise Malformed(
                at, "has a digest in its name; write the name and the tag that it is for"
            )
        if not _DIGEST.fullmatch(text(digest, at)):
            raise Malformed(at, 'must be "sha256:" and 64 lower-case hexadecimal digits')
        canonical = f"{reference.name}:{reference.tag or 'latest'}"
        if canonical in found:
            raise Malformed(
                at,
                f"is another name of {canonical}, which is there already",
                public="is another name of one that is there already",
            )
        found[canonical] = str(digest)
    return found


def _memory(value: object, where: Where) -> int:
    size = _SIZE.fullmatch(text(value, where))
    if size is None:
        raise Malformed(where, 'must be a size such as "512MiB" or "2GiB"')
    memory = int(size[1]) * _UNITS[size[2]]
    if not _LEAST_MEMORY <= memory < 1 << 62:
        raise Malformed(where, "must be 16MiB or more; in less no step could begin")
    return memory


def _cpus(value: object, where: Where) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise refusal(value, where, "a number of processors such as 2 or 0.5")
    if not _LEAST_CPUS <= value <= _MOST_CPUS:
        raise Malformed(where, "must be a number of processors from 0.01 on, such as 2 or 0.5")
    return float(value)


def _both(ours: Any, theirs: Any, narrower: Callable[[Any, Any], Any]) -> Any:
    if ours is None or theirs is None:
        return theirs if ours is None else ours
    return narrower(ours, theirs)


_DIGESTS = {each.name.lower(): each for each in Digests}

_READERS: Mapping[str, tuple[str, Callable[[object, Where], Any]]] = {
    "images": ("images", _sources(SourcePattern.of_image)),
    "frontends": ("frontends", _sources(SourcePattern.of_image)),
    "hosts": ("hosts", _sources(SourcePattern.of_host)),
    "git": ("git", _sources(SourcePattern.of_repository)),
    "network": ("network", lambda value, where: one_of(value, where, _NETWORKS) == "default"),
    "platforms": ("platforms", _platforms),
    "digests": ("digests", lambda value, where: _DIGESTS[one_of(value, where, _DIGESTS)]),
    "pins": ("pins", _pins),
    "memory": ("memory", _memory),
    "cpus": ("cpus", _cpus),
    "contact": ("contact", text),
}
