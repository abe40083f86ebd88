from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from function.buildkit.solve.secret_ids import stamped, stamped_id

KEY = b"a key of thirty-two bytes length"


def stamp(name: str, value: bytes, key: bytes = KEY) -> str:
    return stamped({name: value}, key).stamps[name]


@given(st.dictionaries(st.text(), st.binary()))
def test_the_same_values_have_the_same_stamps(secrets: dict[str, bytes]) -> None:
    reordered = dict(reversed(secrets.items()))

    assert stamped(secrets, KEY) == stamped(reordered, KEY)
    assert stamped(secrets, KEY).stamps.keys() == secrets.keys()


@given(st.text(), st.binary(), st.binary())
def test_another_value_has_another_stamp(name: str, one: bytes, other: bytes) -> None:
    assert (stamp(name, one) == stamp(name, other)) == (one == other)


@given(st.text(), st.text(), st.binary())
def test_another_name_has_another_stamp(one: str, other: str, value: bytes) -> None:
    assert (stamp(one, value) == stamp(other, value)) == (one == other)


@given(st.text(min_size=1), st.text(min_size=1), st.binary())
def test_a_names_end_is_not_a_values_beginning(start: str, end: str, value: bytes) -> None:
    assert stamp(start + end, value) != stamp(start, end.encode() + value)


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
def test_another_key_makes_other_stamps(one: bytes, other: bytes) -> None:
    assert (stamp("token", b"value", one) == stamp("token", b"value", other)) == (one == other)


@given(st.dictionaries(st.text(), st.binary()))
def test_each_secret_is_offered_by_its_name_and_by_its_stamped_id(
    secrets: dict[str, bytes],
) -> None:
    made = stamped(secrets, KEY)

    for name, value in secrets.items():
        assert made.offered[name] == value
        assert made.offered[stamped_id(name, made.stamps[name])] == value


def test_a_name_that_looks_stamped_keeps_its_own_value() -> None:
    imitation = stamped_id("token", stamp("token", b"value"))

    assert stamped({"token": b"value", imitation: b"own"}, KEY).offered[imitation] == b"own"


def test_values_stay_out_of_tracebacks() -> None:
    assert "hunter2" not in repr(stamped({"token": b"hunter2"}, KEY))
