from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from function.buildkit.solve.secret_ids import keyed

KEY = b"a key of thirty-two bytes length"


def id_of(name: str, value: bytes, key: bytes = KEY) -> str:
    return keyed({name: value}, key).ids[name]


@given(st.dictionaries(st.text(), st.binary()))
def test_the_same_values_have_the_same_ids(secrets: dict[str, bytes]) -> None:
    reordered = dict(reversed(secrets.items()))

    assert keyed(secrets, KEY) == keyed(reordered, KEY)
    assert keyed(secrets, KEY).ids.keys() == secrets.keys()


@given(st.text(), st.binary(), st.binary())
def test_another_value_has_another_id(name: str, one: bytes, other: bytes) -> None:
    assert (id_of(name, one) == id_of(name, other)) == (one == other)


@given(st.text(), st.text(), st.binary())
def test_another_name_has_another_id(one: str, other: str, value: bytes) -> None:
    assert (id_of(one, value) == id_of(other, value)) == (one == other)


@given(st.text(min_size=1), st.text(min_size=1), st.binary())
def test_a_names_end_is_not_a_values_beginning(start: str, end: str, value: bytes) -> None:
    assert id_of(start + end, value) != id_of(start, end.encode() + value)


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
def test_another_key_makes_other_ids(one: bytes, other: bytes) -> None:
    assert (id_of("token", b"value", one) == id_of("token", b"value", other)) == (one == other)


@given(st.dictionaries(st.text(), st.binary()))
def test_each_secret_is_offered_by_its_name_and_by_its_id(
    secrets: dict[str, bytes],
) -> None:
    made = keyed(secrets, KEY)

    for name, value in secrets.items():
        assert made.offered[name] == value
        assert made.offered[made.ids[name]] == value


def test_a_name_that_looks_like_an_id_keeps_its_own_value() -> None:
    imitation = id_of("token", b"value")

    assert keyed({"token": b"value", imitation: b"own"}, KEY).offered[imitation] == b"own"


def test_values_stay_out_of_tracebacks() -> None:
    assert "hunter2" not in repr(keyed({"token": b"hunter2"}, KEY))
