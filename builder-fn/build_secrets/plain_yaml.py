"""Pure. The YAML that programs write for values: mappings, lists and text; one document, no references.

A document of a stranger is read event by event, so that nothing is built for what is refused: anchors
and aliases, by which a few lines unfold to gigabytes; tags, which ask for types of their own; depth. As
for a Go struct of strings, a scalar is its own text: `1e5`, `yes` and `2026-01-01` are not resolved.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import yaml

from ..quoting import quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from yaml._yaml import Mark as CMark
    from yaml.error import Mark

Value: TypeAlias = "str | list[Value] | dict[str, Value] | None"

_MAX_DEPTH = 8
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_TEXT_TAG = "tag:yaml.org,2002:str"

# libyaml's parser, forty times as fast, wherever PyYAML was built with it.
_LOADER = getattr(yaml, "CBaseLoader", yaml.BaseLoader)


class NotPlainYAML(Exception):
    """The message is a clause such as "line 3 has an alias"; of the content it quotes only keys."""


def parse(document: bytes, plain: Callable[[str], Any] = str) -> Any:
    """Parse plain YAML, and read each scalar without quotes by *plain*. Raises NotPlainYAML.

    All other values are as in Value.
    """
    # As a stream: of a text that it holds whole, PyYAML's errors would quote lines.
    events = yaml.parse(io.BytesIO(document), Loader=_LOADER)
    try:
        return _document(events, plain)
    except yaml.MarkedYAMLError as exc:
        raise NotPlainYAML(f"{_line(exc.problem_mark)} is not YAML") from exc
    except (yaml.reader.ReaderError, ValueError, OverflowError) as exc:
        # Without libyaml, chr() complains of an escape beyond Unicode.
        raise NotPlainYAML("it is not text") from exc


def _document(events: Iterator[yaml.Event], plain: Callable[[str], Any]) -> Any:
    next(events)  # the stream's start
    if not isinstance(next(events), yaml.DocumentStartEvent):
        raise NotPlainYAML("it is empty")
    value = _Reader(events, plain).value(next(events), _MAX_DEPTH)
    next(events)  # the document's end
    if not isinstance(next(events), yaml.StreamEndEvent):
        raise NotPlainYAML("it holds more than one document")
    return value


@dataclass(frozen=True, slots=True)
class _Reader:
    events: Iterator[yaml.Event]
    plain: Callable[[str], Any]

    def value(self, event: yaml.Event, depth: int) -> Any:
        """Return the value that begins with *event*, whose other events are the next ones."""
        line = _line(event.start_mark)
        if not isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent):
            raise NotPlainYAML(f"{line} has an alias")
        if event.anchor is not None:
            raise NotPlainYAML(f"{line} has an anchor")
        if event.tag not in (None, "!", _TEXT_TAG):
            raise NotPlainYAML(f"{line} has a tag")
        if isinstance(event, yaml.ScalarEvent):
            if not (event.implicit[0] and event.tag is None):
                return event.value
            return None if event.value in _NULLS else self.plain(event.value)
        if depth == 0:
            raise NotPlainYAML(f"{line} is nested too deeply")
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(depth - 1)
        return self._list(depth - 1)

    def _mapping(self, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            line = _line(event.start_mark)
            key = _Reader(self.events, str).value(event, depth)
            if not isinstance(key, str):
                raise NotPlainYAML(f"{line} has a key that is no text")
            if key in found:
                raise NotPlainYAML(f"{line} has the key {quoted(key)} again")
            found[key] = self.value(next(self.events), depth)
        return found

    def _list(self, depth: int) -> list[Any]:
        found: list[Any] = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            found.append(self.value(event, depth))
        return found


def _line(mark: Mark | CMark | None) -> str:
    return f"line {mark.line + 1}" if mark else "it"
