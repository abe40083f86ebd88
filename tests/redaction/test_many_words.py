from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from function.redaction.many_words import ManyWords
from function.redaction.words import Words

BITS = st.tuples(st.booleans(), st.booleans())


@given(st.dictionaries(st.text("ab", min_size=3, max_size=9), BITS), st.text("abc", max_size=60))
def test_finds_what_the_automaton_finds(words: dict[str, tuple[bool, bool]], text: str) -> None:
    found = list(ManyWords(words, 3).find(text))
    expected = list(Words(words).find(text))

    assert [match[:2] for match in found] == [match[:2] for match in expected]


@given(st.dictionaries(st.text("ab", min_size=3, max_size=9), BITS, min_size=1))
def test_a_word_has_the_bits_of_those_that_it_begins_and_ends_with(
    words: dict[str, tuple[bool, bool]],
) -> None:
    found = ManyWords(words, 3)

    for word in words:
        (match,) = found.find(word)
        assert match.before == any(words[one][0] for one in words if word.startswith(one))
        assert match.after == any(words[one][1] for one in words if word.endswith(one))
