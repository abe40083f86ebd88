"""Pure. A request about builds: a small JSON document that says what it asks, of which build, and when.

It is signed as a tar is, over its exact bytes. So a signature is good for this one request, of this
operation, for some minutes: that of an empty body would be the same for ever and for everything.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError, QuestionError
from .age import require_recent
from .options import Document

if TYPE_CHECKING:
    from collections.abc import Callable

# Where a request without a body has its document.
HEADER = "X-Build-Request"

MAX_BYTES = 64 << 10  # of a document: some hundred times what any has

_ABOUT_NO_BUILD = frozenset({"list", "publickey", "metrics"})
_BUILD_ID = re.compile(r"[0-9a-f]{32}")
_MOST_LISTED = 1000
_MOST_NONCE = 128  # characters
_FOREVER = 1e15  # seconds; JSON has numbers of any length, and 1e999 is infinite


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    operation: str
    build_id: str = ""
    offset: int = 0  # of the first log line that is wanted
    limit: int = 100  # of builds that are listed, the latest first
    nonce: str = ""  # that the answer repeats

    @classmethod
    def parse(
        cls, document: bytes | memoryview, operation: str, *, now: float, max_age: float
    ) -> Question:
        """Parse *document*, which must be for *operation* and of less than *max_age* seconds ago.

        Raises QuestionError; RequestExpired for one that is too old or from the future.
        """
        try:
            values = Document("The request", document).values()
        except ConfigError as exc:
            raise QuestionError(str(exc)) from exc
        if values.get("op") != operation:
            raise QuestionError(f'"op" in the request must be "{operation}", as its address says.')
        _require_recent(values.get("time"), now, max_age)
        chosen: dict[str, Any] = {"operation": operation}
        for key, (name, read) in _FIELDS.items():
            if values.get(key) not in (None, ""):
                chosen[name] = read(key, values[key])
        command = cls(**chosen)
        if operation not in _ABOUT_NO_BUILD and not command.build_id:
            raise QuestionError('The request has no "buildId"; it says which build is meant.')
        return command


def _build_id(key: str, value: Any) -> str:
    if not isinstance(value, str) or not _BUILD_ID.fullmatch(value):
        raise QuestionError(
            f'"{key}" must be the 32 hexadecimal digits that the build answered with.'
        )
    return value


def _offset(key: str, value: Any) -> int:
    if type(value) is not int or value < 0:
        raise QuestionError(f'"{key}" must be a whole number of log lines, from 0 on.')
    return value


def _limit(key: str, value: Any) -> int:
    if type(value) is not int or not 0 < value <= _MOST_LISTED:
        raise QuestionError(f'"{key}" must be a whole number from 1 to {_MOST_LISTED}.')
    return value


def _nonce(key: str, value: Any) -> str:
    if not isinstance(value, str) or len(value) > _MOST_NONCE:
        raise QuestionError(f'"{key}" must be a text of at most {_MOST_NONCE} characters.')
    return value


_FIELDS: dict[str, tuple[str, Callable[[str, Any], Any]]] = {
    "buildId": ("build_id", _build_id),
    "offset": ("offset", _offset),
    "limit": ("limit", _limit),
    "nonce": ("nonce", _nonce),
}


def _require_recent(time: Any, now: float, max_age: float) -> None:
    if isinstance(time, bool) or not isinstance(time, int | float) or not abs(time) < _FOREVER:
        raise QuestionError(
            '"time" in the request must be the time it was signed at, in seconds since 1970.'
        )
    require_recent(time, now, max_age)
