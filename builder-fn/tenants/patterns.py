"""Pure. Patterns of images' names, judged on the parsed reference and never on its text.

A pattern is a repository's name in which `*` stands for any characters of one part, and a part that is
`**` for one part or more. It begins with a registry as a name does: without one it is Docker Hub's, and one
word is one of Hub's own images. The pattern `**` alone stands for every repository of every registry.
"""

from __future__ import annotations

import ipaddress
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import ConfigError
from ..quoting import quoted
from ..registry.reference import Reference, split_domain

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_ALL = "**"
_STAR = "*"
# A character that a part may have anywhere, in the stead of stars where a pattern is judged as a name.
_ANY = "x"

_HUB = "docker.io"
# Other names that its registry answers to (registry/docker_config.py).
_HUB_NAMES = frozenset({_HUB, "index.docker.io", "registry-1.docker.io"})
_HUB_OFFICIAL = "library"
_HTTPS = 443


@dataclass(frozen=True, slots=True)
class ImagePattern:
    """*text* is as the operator wrote it."""

    text: str
    registry: str  # nothing for every registry
    parts: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> ImagePattern:
        """Parse a pattern. Raises ValueError with a clause that says what is wrong."""
        if text == _ALL:
            return cls(text, "", (_ALL,))
        domain, rest = split_domain(text)
        if _STAR in domain:
            raise ValueError(f"must have its registry written out, not {quoted(text)}")
        if any(_ALL in part and part != _ALL for part in rest.split("/")):
            raise ValueError(f"has two stars beside other characters of a part, in {quoted(text)}")
        name = f"{domain}/{rest.replace(_ALL, _ANY).replace(_STAR, _ANY)}"
        try:
            judged = Reference.parse(name)
        except ConfigError as exc:
            raise ValueError(f"is no pattern of images' names: {quoted(text)}. {exc}") from exc
        if judged.tag or judged.digest:
            raise ValueError(
                f"must name repositories, without a tag or a digest, not {quoted(text)}"
            )
        registry, parts = place(judged)
        written = tuple(rest.split("/"))
        if written == (_ALL,) and domain:  # "docker.io/**" is all of Hub, not its own images alone
            return cls(text, registry, written)
        return cls(text, registry, parts[: len(parts) - len(written)] + written)

    def covers(self, reference: Reference) -> bool:
        """Return whether *reference*, whatever its tag or digest, is one of these repositories."""
        registry, parts = place(reference)
        return self.registry in ("", registry) and parts_fit(self.parts, parts, part_fits)


def place(reference: Reference) -> tuple[str, tuple[str, ...]]:
    """Return the registry that a reference leads to, under its one name, and the repository's parts."""
    host, colon, port = reference.domain.lower().rpartition(":")
    if not colon or port.endswith("]"):
        host, port = reference.domain.lower(), ""
    if host.startswith("["):
        with suppress(ValueError):  # of what is no address, to which nothing answers
            host = f"[{ipaddress.IPv6Address(host[1:-1]).compressed}]"
    registry = host if not port or int(port) == _HTTPS else f"{host}:{int(port)}"
    parts = tuple(reference.path.split("/"))
    if registry not in _HUB_NAMES:
        return registry, parts
    return _HUB, parts if len(parts) > 1 else (_HUB_OFFICIAL, *parts)


def parts_fit(
    pattern: Sequence[str], parts: Sequence[str], fits: Callable[[str, str], bool]
) -> bool:
    """Tell whether *parts* fit, each of them as *fits* judges it by its part of *pattern*.

    All ways to read them are followed at once, so that no name takes longer than its length.
    """
    reached = {0}
    for wanted in pattern:
        if wanted == _ALL:
            reached = set(range(min(reached) + 1, len(parts) + 1))
        else:
            reached = {at + 1 for at in reached if at < len(parts) and fits(wanted, parts[at])}
        if not reached:
            return False
    return len(parts) in reached


def part_fits(pattern: str, part: str) -> bool:
    """Tell whether one part of a name fits one of a pattern, in which a star is any characters."""
    reached = {0}
    for wanted in pattern:
        if wanted == _STAR:
            reached = set(range(min(reached), len(part) + 1))
        else:
            reached = {at + 1 for at in reached if at < len(part) and part[at] == wanted}
        if not reached:
            return False
    return len(part) in reached
