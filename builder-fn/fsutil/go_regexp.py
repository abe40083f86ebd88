r"""Pure. The part of Go's regexp syntax that a path pattern can come to.

moby/patternmatcher turns a pattern into a regular expression character by character, and not every character
that means something to regexp is escaped on the way: what Go then makes of "{2}", "|" or "\d" decides which
files a build sees. The rules are those of Go 1.26, regexp/syntax/parse.go. Groups cannot be written by a
pattern; the one that patternmatcher itself writes is a unit here.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .automaton import Automaton, Program, TooLarge, is_word
from .filepath_match import PatternError, rune

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .automaton import CharacterTest, PlaceTest

    # Puts what it stands for before a step of the program; returns the step that begins it.
    Piece = Callable[[Program, int], int]
    # An expression's sides of its "|"s, each a sequence.
    Alternatives = list[list[Piece]]

ANY_DIRECTORIES = "(.*/)?"

_MOST_REPEATS = 1000
_LAST_CHARACTER = 0x10FFFF

_TOKEN = re.compile(
    r"""(?P<directories>\(\.\*/\)\?)
      | (?P<repeat>\*|\{(?P<low>0|[1-9]\d*)(?P<open>,(?P<high>0|[1-9]\d*)?)?\})
      | (?P<bar>\|)
      | (?P<dot>\.)
      | (?P<place>[\^$]|\\[AzbB])
      | (?P<quoted>\\Q(?P<text>.*?)(?:\\E|\Z))
      | (?P<class>\[)
      | (?P<character>\\.|[^\\])""",
    re.VERBOSE | re.DOTALL | re.ASCII,
)
_ESCAPE = re.compile(
    r"""\\(?: x\{(?P<braced>[0-9A-Fa-f]+)\} | x(?P<hexadecimal>[0-9A-Fa-f]{2})
      | (?P<octal>0[0-7]{0,2}|[1-7][0-7]{1,2})
      | (?P<control>[afnrtv])
      | (?P<itself>[^0-9A-Za-z\x80-\U0010ffff]))""",
    re.VERBOSE | re.DOTALL,
)
_CONTROLS = {"a": "\a", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_NAMED_CLASS = re.compile(r"\[:(\^?)(.*?):\]", re.DOTALL)

_PLACES: dict[str, PlaceTest] = {
    "^": lambda before, _: before == "",
    "$": lambda _, following: following == "",
    "\\b": lambda before, following: is_word(before) != is_word(following),
    "\\B": lambda before, following: is_word(before) == is_word(following),
}
_PLACES |= {"\\A": _PLACES["^"], "\\z": _PLACES["$"]}

# Firsts and lasts of ranges. All are of ASCII, also in Go.
_PERL_CLASSES = {"d": "09", "s": "\t\n\f\r  ", "w": "09AZ__az"}
_POSIX_CLASSES = {
    "alnum": "09AZaz",
    "alpha": "AZaz",
    "ascii": "\0\x7f",
    "blank": "\t\t  ",
    "cntrl": "\0\x1f\x7f\x7f",
    "digit": "09",
    "graph": "!~",
    "lower": "az",
    "print": " ~",
    "punct": "!/:@[`{~",
    "space": "\t\r  ",
    "upper": "AZ",
    "word": "09AZ__az",
    "xdigit": "09AFaf",
}


def parse(expression: str) -> Alternatives:
    """Parse *expression*. Raises PatternError where Go's regexp reports an error."""
    return _Parser("".join(map(rune, expression)), _literal).parse()


def exactly(expression: str) -> Alternatives:
    """Parse an *expression* whose quoted parts upstream compares byte by byte, without regexp."""
    return _Parser(expression, _byte_for_byte).parse()


def any_of(expressions: Iterable[Alternatives]) -> Automaton:
    """Match the texts in which Go's regexp finds one of *expressions*. Raises PatternError."""
    program = Program()
    try:
        starts = [_assemble(program, pieces) for each in expressions for pieces in each]
    except TooLarge as exc:
        raise PatternError("the patterns are too large") from exc
    return Automaton(program, program.choice(*starts))


def _assemble(program: Program, pieces: list[Piece]) -> int:
    """Assemble *pieces*, to be found anywhere in a text, unless they say otherwise at their ends."""
    ends = bool(pieces) and pieces[-1] is _AT["$"]
    starts = bool(pieces) and pieces[0] is _AT["^"]
    step = program.end if ends else _anything(program, program.end)
    for piece in reversed(pieces[starts : len(pieces) - ends]):
        step = piece(program, step)
    return step if starts else _anything(program, step)


class _Parser:
    def __init__(self, expression: str, literal: Callable[[str], Piece]) -> None:
        self._literal = literal
        self._expression = expression
        self._index = 0
        self._alternatives: Alternatives = [[]]

    def parse(self) -> Alternatives:
        repeatable = False
        while self._index < len(self._expression):
            repeatable = self._token(repeatable=repeatable)
        return self._alternatives

    def _token(self, *, repeatable: bool) -> bool:
        """Read one token; whether it may be repeated. *repeatable* says so of the one before."""
        token = _TOKEN.match(self._expression, self._index)
        if token is None:
            raise self._error()
        self._index = token.end()
        pieces = self._alternatives[-1]
        match token.lastgroup:
            case "repeat":
                if not repeatable:
                    raise self._error()
                pieces[-1] = self._repeated(pieces[-1], token)
                return False
            case "directories":
                pieces.append(_directories)
                return False  # it ends with a repeat of its own
            case "bar":
                self._alternatives.append([])
                return False
            case "quoted":
                pieces.extend(map(self._literal, token["text"]))
                return bool(pieces)
            case "dot":
                pieces.append(_one(_is_no_newline))
            case "place":
                pieces.append(_AT[token["place"]])
            case "class":
                pieces.append(_one(self._class()))
            case _:
                self._index = token.start()
                pieces.append(_one(self._character_or_class()))
        return True

    def _repeated(self, piece: Piece, token: re.Match[str]) -> Piece:
        if token["repeat"] == "*":
            return _repeat(piece, 0, None)
        low = int(token["low"][:5])  # more digits are too many anyway
        high = low if not token["open"] else int(token["high"][:5]) if token["high"] else None
        if max(low, high or 0) > _MOST_REPEATS or (high is not None and high < low):
            raise self._error()
        return _repeat(piece, low, high)

    def _class(self) -> CharacterTest:
        negated = self._taken("^")
        tests = [self._class_item()]
        while not self._taken("]"):
            tests.append(self._class_item())
        return lambda character: any(test(character) for test in tests) != negated

    def _class_item(self) -> CharacterTest:
        named = _NAMED_CLASS.match(self._expression, self._index)
        if named:
            self._index = named.end()
            if named[2] not in _POSIX_CLASSES:
                raise self._error()
            return _in_ranges(_POSIX_CLASSES[named[2]], negated=bool(named[1]))
        if test := self._perl_class():
            return test
        low = high = self._character()
        following = self._expression[self._index : self._index + 2]
        if len(following) > 1 and following[0] == "-" and following[1] != "]":
            self._index += 1
            high = self._character()
            if high < low:
                raise self._error()
        return lambda character: low <= character <= high

    def _character_or_class(self) -> CharacterTest:
        return self._perl_class() or self._character().__eq__

    def _perl_class(self) -> CharacterTest | None:
        escape = self._expression[self._index : self._index + 2]
        if escape.startswith("\\") and escape[1:].lower() in _PERL_CLASSES:
            self._index += 2
            return _in_ranges(_PERL_CLASSES[escape[1].lower()], negated=escape[1].isupper())
        return None

    def _character(self) -> str:
        if self._index == len(self._expression):
            raise self._error()
        if self._expression[self._index] != "\\":
            self._index += 1
            return self._expression[self._index - 1]
        # Escapes for Unicode's classes, "\p", end here as well: no path pattern has a use for them.
        escape = _ESCAPE.match(self._expression, self._index)
        if escape is None:
            raise self._error()
        self._index = escape.end()
        if escape["itself"]:
            return escape["itself"]
        if escape["control"]:
            return _CONTROLS[escape["control"]]
        digits = escape["braced"] or escape["hexadecimal"]
        number = int(digits, 16) if digits else int(escape["octal"], 8)
        if number > _LAST_CHARACTER:
            raise self._error()
        return chr(number)

    def _taken(self, character: str) -> bool:
        found = self._expression.startswith(character, self._index)
        self._index += found
        return found

    def _error(self) -> PatternError:
        return PatternError("syntax error in pattern")


def _is_no_newline(character: str) -> bool:
    return character != "\n"


def _is_any(_: str) -> bool:
    return True


def _in_ranges(bounds: str, *, negated: bool) -> CharacterTest:
    pairs = list(zip(bounds[::2], bounds[1::2], strict=True))
    return lambda character: any(low <= character <= high for low, high in pairs) != negated


def _one(test: CharacterTest) -> Piece:
    return lambda program, following: program.character(lambda c: test(rune(c)), following)


def _literal(character: str) -> Piece:
    return _one(character.__eq__)


def _byte_for_byte(character: str) -> Piece:
    return lambda program, following: program.character(character.__eq__, following)


def _at(place: str) -> Piece:
    test, looks_back = _PLACES[place], place in {"\\b", "\\B"}
    return lambda program, following: program.place(test, following, looks_back=looks_back)


_AT = {place: _at(place) for place in _PLACES}


def _repeat(piece: Piece, low: int, high: int | None) -> Piece:
    def put(program: Program, following: int) -> int:
        step = following
        if high is None:
            step = program.any_number(lambda again: piece(program, again), following)
        for _ in range((high or low) - low):
            step = program.choice(piece(program, step), following)
        for _ in range(low):
            step = piece(program, step)
        return step

    return put


_anything = _repeat(_one(_is_any), 0, None)


def _directories(program: Program, following: int) -> int:
    within = _repeat(_one(_is_no_newline), 0, None)(
        program, program.character("/".__eq__, following)
    )
    return program.choice(within, following)
