"""Pure. JSON objects that people write by hand: every fault is said with the name of the document."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import NoReturn

from ...errors import ConfigError
from ...quoting import json_type, quoted


@dataclass(frozen=True, slots=True)
class Document:
    """*name* is for messages."""

    name: str
    data: bytes | memoryview

    def values(self) -> dict[str, object]:
        """Return the members. Raises ConfigError for anything but one JSON object without twins."""
        try:
            text = bytes(self.data).decode("utf-8-sig")
            value = json.loads(
                text, object_pairs_hook=self._without_twins, parse_constant=self._not_a_constant
            )
        except UnicodeDecodeError as exc:
            raise ConfigError(f"{self.name} is not UTF-8: byte {exc.start} is wrong.") from exc
        except json.JSONDecodeError as exc:
            raise ConfigError(
                f"{self.name} is not valid JSON: {exc.msg} at line {exc.lineno}, column {exc.colno}."
            ) from exc
        except (ValueError, RecursionError) as exc:
            # Numbers of thousands of digits, and arrays as deep.
            raise ConfigError(f"{self.name} is not JSON that any build would need.") from exc
        if not isinstance(value, dict):
            raise ConfigError(f"{self.name} must be a JSON object, not {json_type(value)}.")
        return value

    def _without_twins(self, pairs: list[tuple[str, object]]) -> dict[str, object]:
        found = dict(pairs)
        if len(found) < len(pairs):
            [(twin, _)] = Counter(key for key, _ in pairs).most_common(1)
            raise ConfigError(
                f"{self.name} has the key {quoted(twin)} twice; keep the one that counts."
            )
        return found

    def _not_a_constant(self, word: str) -> NoReturn:
        raise ConfigError(f"{self.name} is not valid JSON: {word} is no JSON number.")
