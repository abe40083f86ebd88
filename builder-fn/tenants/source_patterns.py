"""Pure. Patterns of the places that a build's sources come from, and what two lists of them have in common.

They are judged twice: here in the words of the operator's file, to see which of two is the narrower, and by
the daemon as regular expressions, which it matches against a source's whole identifier.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..quoting import quoted
from .patterns import ImagePattern, part_fits, parts_fit

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

_ALL = "**"
_STAR = "*"
_HUB = "docker.io"
_HUB_EXPRESSION = r"(?i:docker\.io|index\.docker\.io|registry-1\.docker\.io)"

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?"
_HOST = re.compile(
    rf"\*|(?:\*?\.)?{_LABEL}(?:\.{_LABEL})*(?P<port>:[1-9][0-9]{{0,4}})?|\[[0-9a-f:.]+\](?::[1-9][0-9]{{0,4}})?"
)
# Of a part of a repository's path at a host of git.
_PART = re.compile(r"[A-Za-z0-9._~*-]+")

# Where a host is written without a port, its sources may name these of the schemes that they have.
_USUAL_PORTS = r"(?::(?:22|80|443))?"
_ANY_PORT = r"(?::[0-9]*)?"


@dataclass(frozen=True, slots=True)
class SourcePattern:
    """A *host*, ".example.com" for all below that, or nothing for every host; and the path's parts there.

    *text* is as the operator wrote it.
    """

    text: str
    host: str
    parts: tuple[str, ...] = (_ALL,)

    @classmethod
    def of_image(cls, text: str) -> SourcePattern:
        """Parse a pattern of images' names. Raises ValueError with a clause that says what is wrong."""
        return cls.from_image(ImagePattern.parse(text))

    @classmethod
    def from_image(cls, pattern: ImagePattern) -> SourcePattern:
        return cls(pattern.text, pattern.registry, pattern.parts)

    @classmethod
    def of_host(cls, text: str) -> SourcePattern:
        """Parse a host. Raises ValueError likewise."""
        if not _HOST.fullmatch(text.lower()):
            raise ValueError(
                'must be a host such as "github.com" or "git.example.com:8443", or ".example.com" for all '
                f'below it, or "*", not {quoted(text)}'
            )
        host = text.lower().removeprefix(_STAR)
        return cls(text, host)

    @classmethod
    def of_repository(cls, text: str) -> SourcePattern:
        """Parse a host and the path of repositories there. Raises ValueError likewise."""
        host, slash, path = text.partition("/")
        if not slash:
            return cls.of_host(text)
        parts = tuple(path.removesuffix("/").removesuffix(".git").split("/"))
        if not all(_PART.fullmatch(part) for part in parts) or {".", ".."} & set(parts):
            raise ValueError(
                'must be a host, or a host and a path such as "github.com/acme/**", not '
                f"{quoted(text)}"
            )
        if any(_ALL in part and part != _ALL for part in parts):
            raise ValueError(f"has two stars beside other characters of a part, in {quoted(text)}")
        return cls(text, cls.of_host(host).host, parts)

    def covers(self, other: SourcePattern) -> bool:
        """Tell whether all that *other* stands for is this one's, too."""
        return _host_covers(self.host, other.host) and _path_covers(self.parts, other.parts)

    @property
    def is_place(self) -> bool:
        """Tell whether it names a place within a registry, and not a whole one or all of them."""
        return bool(self.host) and any(part.strip(_STAR) for part in self.parts)

    def is_registry_beside(self, registries: Collection[str]) -> bool:
        """Tell whether it names a whole registry, none of *registries*, and not Docker Hub."""
        is_whole = bool(self.host) and not self.is_place
        return is_whole and self.host != _HUB and not {self.host, ""} & set(registries)

    @property
    def images(self) -> str:
        """The expression for the identifiers of images, whatever their tags and digests."""
        host = _HUB_EXPRESSION if self.host == _HUB else _host_expression(self.host, "(?::443)?")
        path = _path_expression(self.parts, "[^/@:]")
        return rf"docker-image://{host}/{path}(?::[^/@]*)?(?:@.*)?"

    @property
    def refused_images(self) -> str:
        """Return the expression of a pattern that refuses: the host may have any port."""
        return refused_images([self])

    @property
    def urls(self) -> str:
        """The expression for what is downloaded from the host; none with a user's name in front of it."""
        return rf"https?://{_host_expression(self.host, _USUAL_PORTS)}(?:[/?#](?s:.*))?"

    @property
    def refused_urls(self) -> str:
        return rf"https?://(?:[^/?#]*@)?{_host_expression(self.host, _ANY_PORT, dot=True)}(?:[/?#](?s:.*))?"

    @property
    def repositories(self) -> str:
        """The expression for repositories of git."""
        host = _host_expression(self.host, _USUAL_PORTS)
        return rf"git://{host}/{_path_expression(self.parts, '[^/#]')}(?:\.git)?/?(?:#(?s:.*))?"

    @property
    def refused_repositories(self) -> str:
        """Return the expression of a pattern that refuses: many hosts do not tell "Acme" from "acme"."""
        host = _host_expression(self.host, _ANY_PORT, dot=True)
        path = _path_expression(self.parts, "[^/#]")
        return rf"git://{host}/(?i:{path})(?:\.git)?/?(?:#(?s:.*))?"


@dataclass(frozen=True, slots=True)
class Sources:
    """The patterns of what is allowed, None for everything, and of what is refused all the same."""

    allow: tuple[SourcePattern, ...] | None = None
    deny: tuple[SourcePattern, ...] = field(default=())

    @property
    def allowed(self) -> tuple[SourcePattern, ...]:
        return (EVERYTHING,) if self.allow is None else self.allow

    def narrowed(self, other: Sources) -> Sources:
        """Return what both allow and neither refuses."""
        if self.allow is None or other.allow is None:
            allow = other.allow if self.allow is None else self.allow
        else:
            allow = common(self.allow, other.allow)
        return Sources(allow, tuple(dict.fromkeys((*self.deny, *other.deny))))


EVERYTHING = SourcePattern("**", "")


def refused_images(patterns: Iterable[SourcePattern]) -> str:
    """Return one expression for the images of all *patterns*, which refuse.

    The daemon reads each expression again for each source, so what patterns have in common stands in it once:
    a thousand of them cost a warm build 0.03 s, and 0.6 s as so many expressions (measured).
    """
    heads: dict[tuple[str, str], list[str]] = {}
    for pattern in patterns:
        *head, last = (_path_expression([part], "[^/@:]") for part in pattern.parts)
        heads.setdefault((pattern.host, last), []).append("/".join((*head, "")))
    alternatives = (
        f"{_refused_host(host)}/(?:{'|'.join(sorted(set(all_)))}){last}"
        for (host, last), all_ in heads.items()
    )
    return rf"docker-image://(?:{'|'.join(alternatives)})(?::[^/@]*)?(?:@.*)?"


def common(
    these: Iterable[SourcePattern], others: Sequence[SourcePattern]
) -> tuple[SourcePattern, ...]:
    """Return what two lists have in common: of each pair the one that the other covers.

    Of two of which neither covers the other nothing is taken, though some names may be both's: to write the
    narrower one of the lists out costs a line, and to guess could open a door.
    """
    found: list[SourcePattern] = []
    for one in these:
        for other in others:
            if one.covers(other):
                found.append(other)
            elif other.covers(one):
                found.append(one)
    return tuple(dict.fromkeys(found))


def _host_covers(host: str, other: str) -> bool:
    if not host or host == other:
        return True
    return host.startswith(".") and other.endswith(host)


def _path_covers(parts: Sequence[str], others: Sequence[str]) -> bool:
    """Read *others* as if its stars were characters that only our own stars stand for."""
    return parts_fit(
        parts, others, lambda wanted, other: other != _ALL and part_fits(wanted, other)
    )


def _refused_host(host: str) -> str:
    return _HUB_EXPRESSION + _ANY_PORT if host == _HUB else _host_expression(host, _ANY_PORT)


def _host_expression(host: str, ports: str, *, dot: bool = False) -> str:
    end = r"\.?" if dot else ""
    if not host:
        return r"[^/?#@\\]+"
    name, colon, port = host.rpartition(":")
    if not colon or port.endswith("]"):
        name, port = host, ""
    below = r"[a-z0-9._-]+" if name.startswith(".") else ""
    return rf"(?i:{below}{re.escape(name)}){end}" + (f":0*{port}" if port else ports)


def _path_expression(parts: Sequence[str], character: str) -> str:
    return "/".join(_part_expression(part, character) for part in parts)


def _part_expression(part: str, character: str) -> str:
    if part == _ALL:
        return f"{character}+(?:/{character}+)*"
    return f"{character}*".join(map(re.escape, part.split(_STAR)))
