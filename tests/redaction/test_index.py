from __future__ import annotations

import gc
import random
import string
import sys
from types import FunctionType, ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from function.redaction import Redactor, index, pieces
from function.redaction.encoded import hexadecimal
from function.redaction.index import MIN_FORM, Index
from function.redaction.many_words import ManyWords
from function.redaction.pieces import Form
from function.redaction.sieve import Effort, Searched
from function.redaction.words import Words

LETTERS = string.ascii_letters + string.digits


def covered(index: Index, text: str) -> set[int]:
    return {at for match in index.find(text) for at in range(match.start, match.end)}


def naively_covered(forms: list[Form], text: str) -> set[int]:
    """Return every place at which a form stands, or so many characters of one as are as good as all."""
    found: set[int] = set()
    for form in forms:
        size = min(form.run, len(form.text))
        seen = {form.text[at : at + size] for at in range(len(form.text) - size + 1)}
        for at in range(len(text) - size + 1):
            if text[at : at + size] in seen:
                found.update(range(at, at + size))
    return found


FEW = st.text("ab", min_size=MIN_FORM, max_size=90)
FORMS = st.lists(st.builds(Form, FEW, st.sampled_from([16, 48, 64])), max_size=8)


@st.composite
def forms_and_text(draw: st.DrawFn) -> tuple[list[Form], str]:
    """Draw forms, and a text of pieces of them, which is where something may be missed."""
    forms = draw(FORMS)
    pieces = [st.text("abc", max_size=30)]
    for form in forms:
        ends = st.integers(0, len(form.text))
        pieces.append(
            st.builds(lambda a, b, text=form.text: text[min(a, b) : max(a, b)], ends, ends)
        )
    return forms, "".join(draw(st.lists(st.one_of(pieces), max_size=6)))


@given(forms_and_text())
@example(([Form("a" * size, 64) for size in range(4, 64)], "b" + "a" * 100 + "baaab"))
@example(([Form("abab", 16), Form("babab", 16), Form("ababab", 16)], "aababababb"))
def test_finds_all_that_a_naive_search_finds(case: tuple[list[Form], str]) -> None:
    forms, text = case

    assert covered(Index(forms), text) >= naively_covered(forms, text)


@pytest.fixture
def as_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have few forms kept as very many are."""
    monkeypatch.setattr(pieces, "_FEW", 0)
    monkeypatch.setattr(pieces, "_COMPARED", 0)
    monkeypatch.setattr(pieces, "_BLOCK", 64)
    monkeypatch.setattr(index, "_FEW", 0)


SAME_FOR_ALL = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@SAME_FOR_ALL
@given(forms_and_text())
@example(([Form("a" * size, 64) for size in range(4, 64)], "b" + "a" * 100 + "baaab"))
@example(([Form("abab", 16), Form("babab", 16), Form("ababab", 16)], "aababababb"))
@pytest.mark.usefixtures("as_many")
def test_finds_the_same_of_very_many_forms(case: tuple[list[Form], str]) -> None:
    forms, text = case

    assert covered(Index(forms), text) >= naively_covered(forms, text)


@SAME_FOR_ALL
@given(forms_and_text())
@example(([Form("aaaa", 16), Form("aaab", 16)], "aaabaaaa"))
@pytest.mark.usefixtures("as_many")
def test_finds_nothing_else_of_very_many_forms(case: tuple[list[Form], str]) -> None:
    forms, text = case

    assert_in_forms(covered(Index(forms), text), forms, text)


@given(forms_and_text())
@example(([Form("aaaa", 16), Form("aaab", 16)], "aaabaaaa"))
def test_finds_nothing_that_is_in_no_form(case: tuple[list[Form], str]) -> None:
    forms, text = case

    assert_in_forms(covered(Index(forms), text), forms, text)


def assert_in_forms(found: set[int], forms: list[Form], text: str) -> None:
    for at in found:
        around = [
            text[start : start + MIN_FORM] for start in range(max(at - MIN_FORM + 1, 0), at + 1)
        ]
        assert any(
            len(one) == MIN_FORM and one in str(form.text) for one in around for form in forms
        )


def nested(unit: str) -> list[str]:
    return [unit * count for count in range(1, 64 // len(unit)) if len(unit * count) >= MIN_FORM]


ENDINGS = [f"{first}{second}" for first in LETTERS[:16] for second in LETTERS[:16]]
CHANCE = random.Random(3)  # noqa: S311 - the same at every run
STREAM = "".join(CHANCE.choices(LETTERS, k=2000))

ATTACKS = [
    pytest.param(nested("a"), "a" * 5000, id="one letter"),
    pytest.param(nested("a"), ("a" * 63 + "-") * 80, id="one letter, in rows"),
    pytest.param(nested("ab"), "ab" * 2500, id="two letters"),
    pytest.param(
        ["a" * (62 - at % 58) + end for at, end in enumerate(ENDINGS)], "a" * 5000, id="ends"
    ),
    pytest.param(
        ["glpat-12" + end * 12 for end in ENDINGS], "glpat-12" * 600, id="a common beginning"
    ),
    pytest.param(["glpat-12ABcd" + end * 9 for end in ENDINGS], "glpat-12ABcd" * 400, id="a seed"),
    pytest.param([STREAM[at : at + 900] for at in range(256)], STREAM * 3, id="pieces of one"),
]


@pytest.mark.parametrize(("values", "text"), ATTACKS)
def test_no_secrets_make_a_text_be_compared_more_than_a_few_times(
    values: list[str], text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Index([Form(value, 16) for value in values] + [Form(value, 64) for value in values])
    compared = 0

    def counted(one: str, other: str, in_common: object = pieces._in_common) -> int:
        nonlocal compared
        compared += 1
        return int(in_common(one, other))  # type: ignore[operator]

    monkeypatch.setattr(pieces, "_in_common", counted)

    words = sum(1 for each in made._whole if len(each) for _ in each._places(Searched(text)))
    matches = sum(1 for _ in made.find(text))

    assert words <= 8 * len(text)
    assert compared <= 4 * len(text)
    assert matches <= len(text)


def test_what_shorter_secrets_cover_is_not_looked_for() -> None:
    made = Index([Form("a" * size, 64) for size in range(4, 64)])

    assert [len(words) for words in made._whole if isinstance(words, Words)] == [1]


@pytest.mark.parametrize("count", [1, 60])
def test_many_secrets_of_one_letter_are_one_mark(count: int) -> None:
    redactor = Redactor(b"a" * size for size in range(4, 4 + count))

    assert redactor.text("x" + "a" * 5000) == "x[redacted]"
    assert redactor.text("x" + "a" * 5000 + "b aaab") == "x[redacted]b aaab"


def test_the_longest_of_several_at_one_place_is_taken_out() -> None:
    redactor = Redactor([b"abcd", b"abcdefgh", b"cdefghij"])

    assert redactor.text("-abcdefghij-") == "-[redacted]-"


@pytest.mark.usefixtures("as_many")
def test_a_text_full_of_what_stands_at_many_places_is_compared_with_few_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    value = b"\n".join(b"https://registry.example/%d" % number for number in range(2000))
    made = Index([Form(hexadecimal(value, upper=False), 48)])
    text = value.hex()
    compared = 0

    def counted(*arguments: Any, real: Any = pieces._farthest_in_order) -> Any:
        nonlocal compared
        compared += 1
        return real(*arguments)

    monkeypatch.setattr(pieces, "_farthest_in_order", counted)

    assert covered(made, f"is {text}!") >= set(range(3, 3 + len(text)))
    assert compared < 1000
    effort = Effort()
    assert list(made.find(text, effort))
    assert effort.spent <= pieces._MOST_COMMON, "what is put off is not compared"


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the texts around seeds that were compared with forms."""
    texts: list[str] = []

    def counted(self: pieces.Pieces, text: str, *others: Any, **options: Any) -> Any:
        texts.append(text)
        return around(self, text, *others, **options)

    around = pieces.Pieces._around
    monkeypatch.setattr(pieces.Pieces, "_around", counted)
    return texts


def test_a_long_piece_is_compared_at_its_ends_alone(compared: list[str]) -> None:
    value = "".join(CHANCE.choices(LETTERS, k=20_000))
    made = Index([Form(value, 64)])

    assert covered(made, f"-{value[99:15_000]}-") == set(range(1, 14_902))
    assert len(compared) < 8


@pytest.mark.usefixtures("as_many")
def test_of_a_text_full_of_pieces_few_are_compared_and_all_are_found(
    compared: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(pieces._MOST_COMPARED, "many", 20)
    monkeypatch.setattr(pieces, "_COMPARED", 3)
    value = "".join(CHANCE.choices(LETTERS, k=20_000))
    form = Form(value, 16)
    text = "--".join(value[at : at + 20] for at in range(0, 20_000, 40))

    assert covered(Index([form]), text) >= naively_covered([form], text)
    assert len(compared) < 30


def test_words_that_begin_in_very_many_ways_are_kept_as_very_many_are() -> None:
    beginnings = [chr(0x400 + number) for number in range(100)]

    few = Index([Form(f"{one}word", 64) for one in beginnings[:20]])
    many = Index([Form(f"{one}word", 64) for one in beginnings])

    assert [type(words) for words in few._whole] == [Words]
    assert {type(words) for words in many._whole} == {ManyWords}
    assert covered(many, f"-{beginnings[99]}word-") == set(range(1, 6))


LARGE = {
    "random": CHANCE.randbytes(80 * 1024),
    "lines": "\n".join("".join(CHANCE.choices(LETTERS, k=8)) for _ in range(9_000)).encode(),
    "words": "\n".join(
        f'password="{"".join(CHANCE.choices(LETTERS, k=9))}\\u0041&amp;"' for _ in range(1500)
    ).encode(),
}


@pytest.mark.parametrize("value", LARGE.values(), ids=LARGE)
def test_a_large_value_takes_little_memory(value: bytes) -> None:
    redactor = Redactor([value])

    assert redactor
    assert memory_of(redactor) < 7 << 20


def memory_of(root: object) -> int:
    """Return the bytes of all that *root* leads to, beside code."""
    found = {id(root): root}
    waiting = [root]
    while waiting:
        for each in gc.get_referents(waiting.pop()):
            if id(each) not in found and not isinstance(each, type | ModuleType | FunctionType):
                found[id(each)] = each
                waiting.append(each)
    return sum(map(sys.getsizeof, found.values()))
