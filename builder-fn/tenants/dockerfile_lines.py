"""Pure. Finds the line of a Dockerfile that names a source, where the daemon does not say it.

The daemon judges what ADD downloads once the whole graph is made, and then names the source alone. What is
found here is for people: nothing is decided by it.
"""

from __future__ import annotations

import json
import posixpath
import re
from typing import TYPE_CHECKING
from urllib.parse import unquote

from ..errors import ConfigError
from ..registry.reference import Reference

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_MAX_BYTES = 1 << 20  # of a Dockerfile that is worth the search
_MAX_JSON = 64 << 10  # characters: what it says takes many times as much memory
_BOM = b"\xef\xbb\xbf"
_COMMENTS = ("#", "//")
_DIRECTIVES = frozenset({"syntax", "escape", "check"})
_DIRECTIVE = re.compile(r"([A-Za-z][A-Za-z0-9]*)\s*=\s*(.+?)\s*", re.ASCII)
_ASSIGNED = re.compile(r"""([A-Za-z_][A-Za-z0-9_]*)=("[^"]*"|'[^']*'|\S*)""")
_VARIABLE = re.compile(
    r"\$(?:\{([A-Za-z_][A-Za-z0-9_]*)(?::?-([^}]*))?\}|([A-Za-z_][A-Za-z0-9_]*))"
)
# What git's addresses begin with, and the user's name in them; the daemon's identifier has neither.
_GIT_START = re.compile(r"^(?:[a-z+]+://)?(?:[^/@]*@)?", re.IGNORECASE)


def syntax_of(dockerfile: bytes) -> tuple[str, int | None]:
    """Return the image that is named to read a Dockerfile, and the line; nothing if there is none.

    As moby/buildkit v0.32.2 finds it (frontend/dockerfile/parser/directives.go): in directives at the top, in
    comments of Dockerfiles or of Go, below a line that begins with "#!"; else in a file that is JSON.
    """
    text = dockerfile[:_MAX_BYTES].removeprefix(_BOM).decode(errors="replace")
    lines = text.split("\n")
    above = 1 if text.startswith("#!") else 0
    for mark in _COMMENTS:
        for number, name, value in _directives(lines, above, mark):
            if name == "syntax":
                return value.split(" ")[0], number
    syntax = _syntax_in_json("\n".join(lines[above:]))
    return syntax, 1 + above if syntax else None


def _directives(lines: Sequence[str], above: int, mark: str) -> Iterator[tuple[int, str, str]]:
    """Yield line, name and value of each directive, up to the first line that is none."""
    seen = set[str]()
    for number, line in enumerate(lines[above:], start=1 + above):
        found = line.startswith(mark) and _DIRECTIVE.fullmatch(line.removeprefix(mark).lstrip())
        name = found[1].lower() if found else ""
        if not found or name in seen or name not in _DIRECTIVES:
            return
        seen.add(name)
        yield number, name, found[2]


def _syntax_in_json(text: str) -> str:
    if len(text) > _MAX_JSON or not text.lstrip().startswith("{"):
        return ""
    try:
        syntax = json.loads(text).get("syntax")
    except (ValueError, RecursionError):
        return ""
    return syntax if isinstance(syntax, str) else ""


def line_of(source: str, dockerfile: bytes, build_args: Mapping[str, str]) -> int | None:
    """Return the first line of the instruction that names *source*, an identifier of the daemon's."""
    if len(dockerfile) > _MAX_BYTES:
        return None
    before_stages: dict[str, str] = {}
    variables = before_stages

    def value(found: re.Match[str]) -> str:
        return variables.get(found[1] or found[3], found[2] or "")

    for line, instruction in _instructions(dockerfile.decode(errors="replace")):
        word, _, rest = instruction.partition(" ")
        text = _VARIABLE.sub(value, rest)
        if word.upper() in ("ARG", "ENV"):
            known = {**before_stages, **build_args} if word.upper() == "ARG" else {}
            variables |= {name: said.strip("\"'") for name, said in _ASSIGNED.findall(text)}
            # Of one that is declared, what it is called with goes before its default.
            declared = set(re.split(r"[\s=]", text)) & known.keys()
            variables |= {
                name: known[name]
                for name in declared
                if name in build_args or f"{name}=" not in text
            }
            continue
        # The second for addresses that have such characters themselves.
        words = {*re.split(r"[\s,=\"\[\]]+", text), *text.split()}
        if any(_names(source, each) for each in words):
            return line
        if word.upper() == "FROM":
            variables = {}
    return None


def _instructions(text: str) -> Iterator[tuple[int, str]]:
    """Yield each instruction in one line, with the number of its first."""
    first, parts = 0, list[str]()
    for number, line in enumerate(text.split("\n"), start=1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        first = first or number
        goes_on = stripped.endswith(("\\", "`"))
        parts.append(stripped[:-1] if goes_on else stripped)
        if not goes_on:
            yield first, " ".join(parts)
            first, parts = 0, []
    if parts:
        yield first, " ".join(parts)


def _names(source: str, word: str) -> bool:
    kind, _, place = source.partition("://")
    if kind == "docker-image":
        return _is_image(word, place)
    if kind != "git":
        return word == source
    repository = place.partition("#")[0]
    written = _GIT_START.sub("", word).partition("#")[0].partition("?")[0]
    host, colon, path = written.partition(":")
    if colon and not path[:1].isdigit():  # as ssh writes it
        written = f"{host}/{path}"
    # With dots and escapes, which the daemon resolves.
    resolved = posixpath.normpath(unquote(written))
    return repository.casefold() in (written.casefold(), resolved.casefold())


def _is_image(word: str, place: str) -> bool:
    try:
        named, meant = Reference.parse(word), Reference.parse(place)
    except ConfigError:
        return False
    return (named.name, named.tag or "latest") == (meant.name, meant.tag or "latest")
