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
    for one, other in zip(found, expected, strict=True):
        assert one.before >= other.before
        assert one.after >= other.after
