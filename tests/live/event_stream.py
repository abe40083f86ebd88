"""Pure. Reads server-sent events by the letter of WHATWG HTML, section 9.2.6."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_LINE_END = re.compile(r"\r\n|\n|\r")


@dataclass(frozen=True, slots=True)
class Comment:
    text: str


@dataclass(frozen=True, slots=True)
class Event:
    """An event that a reader dispatches; *id* is that of the latest event that had one."""

    name: str
    data: str
    id: str

    @property
    def document(self) -> Any:
        return json.loads(self.data)


def parsed(stream: Iterable[str]) -> Iterator[Event | Comment]:
    """Yield events, and the comments between them, as the lines of *stream* come in."""
    name, data, last_id = "", "", ""
    for line in stream:
        field, colon, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            if data:
                yield Event(name or "message", data.removesuffix("\n"), last_id)
            name, data = "", ""
        elif colon and not field:
            yield Comment(value)
        elif field == "event":
            name = value
        elif field == "data":
            data += f"{value}\n"
        elif field == "id" and "\0" not in value:
            last_id = value


def lines_of(text: str) -> list[str]:
    """Return the lines of a whole stream; what comes after the last line end is none."""
    return _LINE_END.split(text.removeprefix("\ufeff"))[:-1]
