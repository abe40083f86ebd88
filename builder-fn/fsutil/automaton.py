"""Pure. Matches a whole text in time proportional to its length, whatever the pattern.

Patterns come from anyone with a build to run, and a backtracking matcher can be kept busy for years by a few
stars. As Go's regexp does, this one follows all ways through a pattern at once; the sets of ways it has met
are kept, so that a character of a usual path costs one look into a dictionary.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

CharacterTest = Callable[[str], bool]
# Of the characters before and after a place in the text; "" beyond its ends.
PlaceTest = Callable[[str, str], bool]

_ACCEPT = 0
_MOST_STEPS = 100_000  # of one pattern; a thousand times what people write
_MOST_MOVES = 20_000  # kept per pattern; then the memory is given back

_WORD = frozenset("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz")


def is_word(character: str) -> bool:
    return character in _WORD


class TooLarge(Exception):
    """The pattern comes to more steps than anyone's should."""


class _Step(NamedTuple):
    """Leads to *targets*: for a character that passes, at a place that passes, or at once."""

    targets: tuple[int, ...]
    consumes: CharacterTest | None = None
    holds: PlaceTest | None = None


class Program:
    """Steps, made from the end of a pattern to its start: each is told what follows it. Raises TooLarge."""

    def __init__(self) -> None:
        self.steps = [_Step(())]
        self.looks_back = False

    @property
    def end(self) -> int:
        return _ACCEPT

    def character(self, test: CharacterTest, following: int) -> int:
        return self._add(_Step((following,), consumes=test))

    def place(self, test: PlaceTest, following: int, *, looks_back: bool) -> int:
        """Add a step that *test* judges by its place.

        *looks_back* if it must know more of what is before than whether there is anything.
        """
        self.looks_back |= looks_back
        return self._add(_Step((following,), holds=test))

    def choice(self, *targets: int) -> int:
        return self._add(_Step(targets))

    def any_number(self, make: Callable[[int], int], following: int) -> int:
        again = self.choice(following)
        self.steps[again] = _Step((make(again), following))
        return again

    def _add(self, step: _Step) -> int:
        if len(self.steps) >= _MOST_STEPS:
            raise TooLarge
        self.steps.append(step)
        return len(self.steps) - 1


class Automaton:
    """A finished program, which remembers how far texts have led it. *start* is where texts begin."""

    def __init__(self, program: Program, start: int) -> None:
        self._steps = program.steps
        self._looks_back = program.looks_back
        self._states: dict[tuple[frozenset[int], str], State] = {}
        self._moves = 0
        self.start = self._state(frozenset((start,)), "")

    @property
    def size(self) -> int:
        """The steps and moves that it holds, of some 300 bytes each."""
        return len(self._steps) + self._moves

    def accepts(self, state: State) -> bool:
        """Return whether a text that led to *state* may end there."""
        return _ACCEPT in self._reach(state, "")

    def move(self, state: State, character: str) -> State:
        """Return the state that *character* leads to."""
        steps = self._steps
        threads = frozenset(
            target
            for number in self._reach(state, character)
            if (test := steps[number].consumes) and test(character)
            for target in steps[number].targets
        )
        if self._moves >= _MOST_MOVES:
            self._states.clear()
            self._moves = 0
        self._moves += 1
        # Of what came before, tests ask no more than whether it belongs to a word.
        before = "w" if self._looks_back and is_word(character) else "-"
        return self._state(threads, before)

    def _state(self, threads: frozenset[int], before: str) -> State:
        known = self._states.get((threads, before))
        if known is None:
            known = self._states[threads, before] = State(self, threads, before)
        return known

    def _reach(self, state: State, following: str) -> set[int]:
        """Return all steps that can be come to from *state*'s without taking a character."""
        reached = set(state.threads)
        pending = list(reached)
        while pending:
            step = self._steps[pending.pop()]
            if step.consumes or (step.holds and not step.holds(state.before, following)):
                continue
            for target in step.targets:
                if target not in reached:
                    reached.add(target)
                    pending.append(target)
        return reached


class State(dict[str, "State"]):
    """The ways that are open at one place in a text; by the next character, the state it leads to."""

    __slots__ = ("_automaton", "_is_end", "before", "threads")

    def __init__(self, automaton: Automaton, threads: frozenset[int], before: str) -> None:
        super().__init__()
        self._automaton = automaton
        self._is_end: bool | None = None  # unknown until it is asked for
        self.threads = threads
        self.before = before

    def after(self, text: str) -> State:
        state = self
        for character in text:
            state = state[character]
        return state

    @property
    def is_end(self) -> bool:
        """Tell whether the text may end here."""
        if self._is_end is None:
            self._is_end = self._automaton.accepts(self)
        return self._is_end

    def __missing__(self, character: str) -> State:
        following = self[character] = self._automaton.move(self, character)
        return following
