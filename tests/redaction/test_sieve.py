from __future__ import annotations

from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from function.redaction.numbered import Numbered, NumberedSieve
from function.redaction.sieve import HashSieve, Searched, Sieve

KINDS = pytest.mark.parametrize("kind", [HashSieve, NumberedSieve])
TEXT = st.text("ab\U0001f600\ud800é", max_size=40)


@KINDS
@given(st.data(), TEXT, TEXT, st.integers(1, 3))
def test_lets_through_every_stretch_that_it_has(
    kind: type[Sieve], data: st.DataObject, source: str, text: str, step: int
) -> None:
    size = 3
    every = range(max(len(source) - size + 1, 0))
    known = data.draw(st.sets(st.sampled_from(every))) if every else set()
    sieve = kind(len(known), size)
    sieve.add(source, sorted(known))
    stretches = {source[at : at + size] for at in known}

    found = {at for at, _number in sieve.places(Searched(text), step)}

    places = range(0, max(len(text) - size + 1, 0), step)
    assert found >= {at for at in places if text[at : at + size] in stretches}
    assert found <= set(places)


@KINDS
def test_a_stretch_has_its_number_wherever_it_stands(kind: type[Sieve]) -> None:
    sieve = kind(2, 4)
    numbers = sieve.add("--abcd---ABCD", array("I", [2, 9]))

    found = dict(sieve.places(Searched("ABCD abcd"), 1))

    assert (found[0], found[5]) == (numbers[1], numbers[0])
    assert numbers[0] != numbers[1]


@KINDS
def test_rarely_lets_through_what_it_does_not_have(kind: type[Sieve]) -> None:
    known = "".join(map(chr, range(1000, 5000)))
    sieve = kind(len(known), 8)
    sieve.add(known, range(len(known) - 8))

    others = "".join(map(chr, range(10_000, 30_000)))
    assert sum(1 for _ in sieve.places(Searched(others), 1)) < len(others) / 50


@given(st.text("ab", min_size=12, max_size=40), st.text("abc", max_size=60), st.integers(1, 3))
def test_of_seeds_that_must_go_far_those_that_do_so_to_one_side_come_through(
    source: str, text: str, step: int
) -> None:
    size, far = 4, 7
    at_all = range(len(source) - size + 1)
    sieve = NumberedSieve(len(at_all), size, far)
    sieve.add(source, at_all)
    pieces = {source[at : at + far] for at in range(len(source) - far + 1)}

    found = {at for at, _number in sieve.places(Searched(text), step)}

    for at in range(0, max(len(text) - size + 1, 0), step):
        on, back = text[at : at + far], text[max(at + size - far, 0) : at + size]
        if on in pieces or back in pieces:
            assert at in found


def test_seeds_that_do_not_go_far_rarely_come_through() -> None:
    seeds = [f"{number:04}" for number in range(2000)]
    sieve = NumberedSieve(len(seeds), 4, 8)
    source = "".join(f"abcd{seed}efgh" for seed in seeds)
    sieve.add(source, range(4, len(source), 12))

    alone = Searched("".join(f"----{seed}++++" for seed in seeds))
    assert sum(1 for _ in sieve.places(alone, 1)) < len(seeds) / 10
    within = Searched("".join(f"abcd{seed}++++" for seed in seeds))
    assert {at for at, _number in sieve.places(within, 1)} >= set(range(4, 12 * len(seeds), 12))


def test_a_text_of_more_characters_than_any_before_is_numbered_alike() -> None:
    short = Numbered("abcdefgh").every(4)[3]

    assert Numbered("x" * 100_000 + "abcdefgh").every(4)[-2] == short
