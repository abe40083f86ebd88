from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from function.builds.tenant_limits.standing import SETTLED_SECONDS, standing
from function.history import ActiveBuild

OLD = SETTLED_SECONDS


def build(name: str, *, created: float, is_running: bool = False) -> ActiveBuild:
    return ActiveBuild(build_id=name, tenant="acme", created=created, is_running=is_running)


def test_as_many_run_at_once_as_may() -> None:
    builds = [build("a", created=1), build("b", created=2)]

    assert [standing(builds, name, 2, age=0).may_run for name in "ab"] == [True, True]


def test_the_first_to_come_are_the_next() -> None:
    builds = [build(name, created=at) for at, name in enumerate("abcd")]
    found = [standing(builds, name, 2, age=OLD) for name in "abcd"]

    assert [each.may_run for each in found] == [True, True, False, False]
    assert [each.position for each in found] == [0, 0, 1, 2]


def test_a_build_that_runs_is_ahead_of_those_that_came_before_it() -> None:
    builds = [build("a", created=1), build("b", created=2, is_running=True)]

    assert not standing(builds, "a", 1, age=OLD).may_run
    assert standing(builds, "a", 1, age=OLD).position == 1


def test_a_build_that_has_just_come_does_not_overtake_one_that_may_be_on_its_way() -> None:
    builds = [build("late", created=1), build("first on record", created=2)]

    assert not standing(builds, "late", 1, age=OLD / 2).may_run
    assert standing(builds, "late", 1, age=OLD).may_run


def test_of_two_that_come_together_the_first_does_not_count_as_one_that_waits() -> None:
    builds = [build("a", created=1), build("b", created=2)]

    assert [standing(builds, name, 1, age=0).position for name in "ab"] == [0, 1]


def test_of_two_that_came_at_one_time_one_is_the_next() -> None:
    builds = [build("a", created=1), build("b", created=1)]

    assert [standing(builds, name, 1, age=OLD).may_run for name in "ab"] == [True, False]


BUILDS = st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=1, max_size=8).map(
    lambda found: [
        build(f"{number}", created=created, is_running=running)
        for number, (created, running) in enumerate(found)
    ]
)


@given(BUILDS, st.integers(1, 4))
def test_all_that_see_the_same_let_no_more_run_than_may(
    builds: list[ActiveBuild], most: int
) -> None:
    running = [each for each in builds if each.is_running]
    waiting = [each for each in builds if not each.is_running]
    let_go = [each for each in waiting if standing(builds, each.build_id, most, age=OLD).may_run]

    assert len(let_go) == max(0, min(len(waiting), most - len(running)))
    assert all(
        standing(builds, each.build_id, most, age=OLD).position > 0
        for each in waiting
        if each not in let_go
    )


@given(
    st.integers(1, 3),
    st.lists(
        st.tuples(
            st.sampled_from(["claim", "look", "show", "end"]), st.integers(0, 5), st.integers(0, 3)
        ),
        max_size=60,
    ),
)
def test_no_more_run_than_may_in_whichever_order_replicas_claim_and_look(
    most: int, moves: list[tuple[str, int, int]]
) -> None:
    """Clocks may differ by anything; each build is on record before its replica looks."""
    on_record: dict[str, ActiveBuild] = {}
    came: dict[str, int] = {}
    let_go: dict[str, int] = {}  # and when
    for step, (move, number, created) in enumerate(moves):
        name = str(number)
        known = on_record.get(name)
        match move:
            case "claim" if known is None:
                on_record[name] = build(name, created=created)
                came[name] = step
            case "look" if known and name not in let_go:
                # It is old enough once all that had been let go before it came have arrived.
                settled = all(
                    on_record[each].is_running for each, at in let_go.items() if at < came[name]
                )
                seen = list(on_record.values())
                if standing(seen, name, most, age=OLD if settled else 0.0).may_run:
                    let_go[name] = step
            case "show" if known and name in let_go:
                on_record[name] = build(name, created=known.created, is_running=True)
            case "end" if known and known.is_running:
                del on_record[name]
                del let_go[name]
        assert len(let_go) <= most
