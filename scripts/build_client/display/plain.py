"""Stream I/O. Writes a build's log where no cursor moves: as lines, as documents, or not at all."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from ..text import printable, to_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TextIO

    from .steps import Step, Steps

_NUMBER: Final = re.compile(r"(?:\S+/\S+ )?#\d{1,9}(?= |$)")


class _View:
    """Shows nothing but what is said; every other view without a cursor adds its own."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def say(self, text: str) -> None:
        self._write(text)

    def busy(self, text: str) -> None:
        pass

    def document(self, document: Mapping[str, object]) -> None:
        pass

    def line(self, line: str, ended: Step | str | None) -> None:
        pass

    def tick(self, steps: Steps, now: float) -> None:
        pass

    def close(self) -> None:
        pass

    def _write(self, line: str) -> None:
        self._stream.write(f"{line}\n")
        self._stream.flush()


class PlainView(_View):
    """Every line of the log as it comes, a blank one between steps: for pipes, files and CI."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._number = (
            ""  # of the step that the last line was about, with its platform if it has one
        )

    def line(self, line: str, ended: Step | str | None) -> None:
        del ended
        numbered = _NUMBER.match(line)
        number = numbered[0] if numbered else self._number
        if self._number not in {"", number}:
            self._write("")
        self._number = number
        self._write(printable(line))


class DocumentView(_View):
    """The builder's documents as they come, one a line; what else is said goes to *aside*."""

    def __init__(self, stream: TextIO, aside: TextIO) -> None:
        super().__init__(stream)
        self._aside = aside

    def say(self, text: str) -> None:
        print(f"build.py: {text}", file=self._aside)

    def document(self, document: Mapping[str, object]) -> None:
        self._write(to_json(document))


class QuietView(_View):
    """Nothing of the log; what must be said goes to *aside*."""

    def say(self, text: str) -> None:
        print(f"build.py: {text}", file=self._stream)
