from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import example, given
from hypothesis import strategies as st

from function.redaction import many_words, numbered
from function.redaction.many_words import ManyWords
from function.redaction.sieve import Searched
from function.redaction.words import Words

if TYPE_CHECKING:
    import pytest

BITS = st.tuples(st.booleans(), st.booleans())


@given(st.dictionaries(st.text("ab", min_size=3, max_size=9), BITS), st.text("abc", max_size=60))
@example({"aba": (False, False), "baa": (False, False), "bbaaa": (False, False)}, "ababbaaa")
def test_finds_what_the_automaton_finds(words: dict[str, tuple[bool, bool]], text: str) -> None:
    assert covered(ManyWords(words, 3), text) == covered(Words(words), text)


def covered(words: ManyWords | Words, text: str) -> set[int]:
    found = words.find(Searched(text))
    return {at for match in found for at in range(match.start, match.end)}


@given(st.dictionaries(st.text("ab", min_size=3, max_size=9), BITS, min_size=1))
def test_a_word_has_the_bits_of_those_that_it_begins_and_ends_with(
    words: dict[str, tuple[bool, bool]],
) -> None:
    found = ManyWords(words, 3)

    for word in words:
        (match,) = found.find(Searched(word))
        assert match.before == any(words[one][0] for one in words if word.startswith(one))
        assert match.after == any(words[one][1] for one in words if word.endswith(one))


def test_of_a_text_full_of_words_few_are_read_and_the_longest_is_taken_to_stand_at_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(many_words, "_MOST_READ", 3)
    words = ManyWords(dict.fromkeys(("abcd", "abcdefgh"), (False, False)), 4)

    found = list(words.find(Searched("abcd----" * 5)))

    assert [match[:2] for match in found] == [(0, 4), (8, 12), (16, 20), (24, 40)]


def test_very_many_words_are_not_numbered_at_once() -> None:
    ManyWords({f"{number:08}": (False, False) for number in range(20_000)}, 8)

    assert len(numbered._powers._known[0]) < 20_000 * 8
