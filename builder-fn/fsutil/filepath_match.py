r"""Pure. Go's filepath.Match: one name against "*", "?", "[class]" and "\" escapes.

The rules are those of Go 1.26, path/filepath/match.go, errors included: they are found only as far as a
pattern is read, and patternmatcher and fsutil differ in what they make of one.
"""

from __future__ import annotations


class PatternError(Exception):
    """A pattern that no path can be compared with; the message is for the build's log."""


def filepath_match(pattern: str, name: str) -> bool:
    """Return whether all of *name* matches. Raises PatternError."""
    position = 0
    while pattern:
        star = pattern.startswith("*")
        pattern = pattern.lstrip("*")
        end = _end_of_chunk(pattern)
        chunk, pattern = pattern[:end], pattern[end:]
        if star and not chunk:
            return "/" not in name[position:]
        # A star takes as little as it can: where its chunk matches first, the next star makes up the rest.
        last = name.find("/", position) if star else position
        for start in range(position, (last if last >= 0 else len(name)) + 1):
            stop = _match_chunk(chunk, name, start)
            if stop is not None and (pattern or stop == len(name)):
                position = stop
                break
        else:
            return False
    return position == len(name)


def syntax_error(pattern: str) -> PatternError:
    return PatternError(f"syntax error in pattern: {pattern}")


def rune(character: str) -> str:
    """Return what Go takes *character* for: of a byte that is no UTF-8, the replacement character."""
    return "\ufffd" if "\udc80" <= character <= "\udcff" else character


def _end_of_chunk(pattern: str) -> int:
    """Return the index of the first star outside a class."""
    in_class = False
    index = 0
    while index < len(pattern):
        match pattern[index]:
            case "\\":
                index += 1
            case "[":
                in_class = True
            case "]":
                in_class = False
            case "*" if not in_class:
                return index
        index += 1
    return len(pattern)


def _match_chunk(chunk: str, name: str, position: int) -> int | None:
    """Return the end of *chunk*, which has no star, in *name* from *position*; None if it does not match."""
    matched = True
    index = 0
    while index < len(chunk):
        matched = matched and position < len(name)
        character = name[position] if matched else ""
        if chunk[index] == "[":
            within, index = _match_class(chunk, index + 1, rune(character))
            matched = matched and within
        elif chunk[index] == "?":
            matched = matched and character != "/"
            index += 1
        else:
            index += chunk[index] == "\\"
            if index == len(chunk):
                raise syntax_error(chunk)
            matched = matched and character == chunk[index]
            index += 1
        position += 1
    return position if matched else None


def _match_class(chunk: str, index: int, character: str) -> tuple[bool, int]:
    """Return whether *character* is in the class whose members start at *index*, and the end of the class."""
    negated = chunk.startswith("^", index)
    index += negated
    within = False
    first = True
    while first or not chunk.startswith("]", index):
        low, index = _class_member(chunk, index)
        high = low
        if chunk.startswith("-", index):
            high, index = _class_member(chunk, index + 1)
        within = within or low <= character <= high
        first = False
    return within != negated, index + 1


def _class_member(chunk: str, index: int) -> tuple[str, int]:
    if chunk[index : index + 1] in ("-", "]"):
        raise syntax_error(chunk)
    index += chunk.startswith("\\", index)
    if index + 1 >= len(chunk) or rune(chunk[index]) != chunk[index]:
        raise syntax_error(chunk)
    return chunk[index], index + 1
