"""Builds as any replica tells of them: two clients are two replicas, a killed process is one that died."""

from __future__ import annotations

import gc
import re
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest

from function.buildkit import ANONYMOUS, BuildkitError, SolveSpec, session_services
from function.buildkit.outcome import BuildResult, BuildWarning, FailedStep, Step
from function.context.shared_key import once
from function.errors import (
    BuildCancelled,
    BuilderError,
    BuildFailed,
    BuildTimedOut,
    Busy,
    DaemonUnavailable,
    Interrupted,
)
from function.fsutil.tree import Entry, Kind, Tree
from function.history import Ref, State
from function.history.annotations import build_attrs

from .daemon import Daemon
from .gate import Gate
from .replica import ANNOTATIONS, PATIENCE, claimed, go, replica, said
from .waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from stack.daemons.buildkitd import Buildkitd
    from stack.machine import Machine

    from function.buildkit import Solve
    from function.history import BuildRecord, Claim, Follow

# From a replica's death to the report of it: the promise is seconds, the rest is for a busy machine.
SOON = 25.0  # a bound against hanging, which a busy machine keeps
WAIT = 30.0

QUICK = "FROM scratch\nCOPY . /\n"
# Its processes outlive the shell that started them, and so the daemon's attempt to end the step.
UNKILLABLE = "FROM debian:trixie-slim\nRUN echo up; sleep 40.25; echo down # {}\n"


@dataclass(frozen=True)
class Account:
    """The answers about one build, from any of those that were asked."""

    log: list[str]
    steps: list[str]
    warnings: tuple[BuildWarning, ...]
    result: BuildResult | None
    error: str
    failed_step: FailedStep | None


@pytest.fixture
def one(shared_daemon: str) -> Daemon:
    return Daemon(shared_daemon, patience=PATIENCE)


@pytest.fixture
def another(shared_daemon: str) -> Daemon:
    return Daemon(shared_daemon, patience=PATIENCE)


@pytest.fixture
def build_id() -> str:
    return uuid.uuid4().hex


@pytest.fixture
def claim(one: Daemon, build_id: str) -> Iterator[Claim]:
    made = one.claim(build_id, ANNOTATIONS)
    assert made
    yield made
    made.release()


def solve(client: Daemon, ref: Ref, dockerfile: str, *names: str) -> Solve:
    data = memoryview(dockerfile.encode())
    tree = Tree((Entry("Dockerfile", Kind.FILE, 0o644, 0, data),))
    spec = SolveSpec(ref=str(ref), frontend_attrs=build_attrs(ANNOTATIONS), names=names)
    services = session_services({"context": tree, "dockerfile": tree}, lambda _host: ANONYMOUS, {})
    return client.solve(spec, services, shared_key=once())


def fresh(dockerfile: str) -> str:
    """Return *dockerfile*, of which no step is in the cache yet."""
    return dockerfile.format(uuid.uuid4().hex)


def states_until_long_ended(client: Daemon, build_id: str) -> list[State]:
    """Return the states one after the other, until one has stood for as long as anything here may take."""
    states = [recorded(client, build_id).state]
    deadline = time.monotonic() + WAIT
    ended = float("inf")
    while time.monotonic() < min(deadline, ended + 0.5):
        record = recorded(client, build_id)
        if record.state is not states[-1]:
            states.append(record.state)
        if record.ended:
            ended = min(ended, time.monotonic())
    return states


def told(build: Solve | Follow) -> Account:
    log: list[str] = []
    result, error, failed_step = None, "", None
    with closing(build):
        for lines in build:
            log += lines
        try:
            result = build.result()
        except (BuilderError, BuildkitError) as exc:
            error, failed_step = str(exc), getattr(exc, "failed_step", None)
    steps = [step.name for step in build.steps]
    return Account(log, steps, build.warnings, result, error, failed_step)


def same(one: Account, another: Account) -> bool:
    """Return whether they are of one build.

    A follower that comes late gets at once what it missed: in another order, and of what happened to a
    thing several times, the last. And nobody waits for what comes after the push.
    """
    essence = re.compile(r"#\d+ (\[|[\d.]+ |ERROR|WARN)")
    logs = [
        {re.sub(r"^#\d+ ", "", line) for line in each.log if essence.match(line)}
        for each in (one, another)
    ]
    assert logs[0] == logs[1]
    assert sorted(one.steps) == sorted(another.steps)
    assert replace(one, log=[], steps=[]) == replace(another, log=[], steps=[])
    return True


def following(client: Daemon, build_id: str) -> Follow:
    follow = client.follow(build_id)
    assert follow
    return follow


def recorded(client: Daemon, build_id: str) -> BuildRecord:
    record = client.record(build_id)
    assert record
    return record


def error_of(client: Daemon, build_id: str) -> BuilderError | None:
    return recorded(client, build_id).error


def test_a_running_build_is_followed_from_its_beginning(
    one: Daemon, another: Daemon, build_id: str, claim: Claim
) -> None:
    dockerfile = fresh(
        "FROM debian:trixie-slim\nRUN for i in 1 2 3; do echo $i; sleep 0.5; done # {}\n"
    )
    with ThreadPoolExecutor() as threads:
        own = threads.submit(told, solve(one, claim.ref, dockerfile))
        wait_until(lambda: recorded(another, build_id).state is State.RUNNING)
        followed = told(following(another, build_id))

    assert same(followed, own.result())
    output = [line.split()[-1] for line in followed.log if re.match(r"#5 [\d.]+ \d", line)]
    assert output == ["1", "2", "3"]
    assert followed.log[-1].startswith("#5 DONE")


def test_a_build_that_has_ended_is_followed_all_the_same(
    one: Daemon, another: Daemon, build_id: str, claim: Claim, mirror: str
) -> None:
    dockerfile = "FROM scratch as built\nCOPY . /\n"  # a lower-case "as" is warned of
    own = told(solve(one, claim.ref, dockerfile, f"{mirror}/history/{build_id}:1"))
    followed = told(following(another, build_id))

    assert own.result
    assert own.result.digest
    assert own.result.size
    assert own.result.platforms
    assert own.warnings
    assert same(followed, own)
    wait_until(lambda: recorded(another, build_id).ended)
    assert recorded(another, build_id).result == own.result


def test_a_failed_build_failed_the_same_way_for_all(
    one: Daemon, another: Daemon, build_id: str, claim: Claim
) -> None:
    own = told(solve(one, claim.ref, fresh("FROM debian:trixie-slim\nRUN echo why; exit 3 # {}\n")))
    followed = told(following(another, build_id))

    assert same(followed, own)
    assert followed.failed_step
    assert (followed.failed_step.line, followed.failed_step.exit_code) == (2, 3)
    assert followed.failed_step.output == ("why",)
    record = recorded(another, build_id)
    assert (record.state, record.repeatable) == (State.FAILED, False)
    assert "exit code: 3" in str(record.error)
    assert isinstance(record.error, BuildFailed)


def test_a_record_says_what_its_owner_said_of_it(one: Daemon, another: Daemon) -> None:
    build_id = uuid.uuid4().hex
    said_of_it = {"image": "registry.test/ä:1", "call-id": "x" * 4000}
    claim = one.claim(build_id, said_of_it)
    assert claim

    record = recorded(another, build_id)
    claim.release()

    assert record.annotations == said_of_it
    assert record.ref == Ref(build_id)


def test_a_build_is_on_record_while_it_waits_and_can_be_followed_from_there(
    one: Daemon, another: Daemon, build_id: str, claim: Claim
) -> None:
    assert recorded(another, build_id).state is State.QUEUED
    with ThreadPoolExecutor() as threads:
        follow = following(another, build_id)
        followed = threads.submit(told, follow)
        own = told(solve(one, claim.ref, QUICK))

        assert same(followed.result(WAIT), own)


def test_a_build_that_never_began_leaves_nothing(
    one: Daemon, another: Daemon, build_id: str
) -> None:
    claim = one.claim(build_id, ANNOTATIONS)
    assert claim
    follow = following(another, build_id)

    claim.release()

    wait_until(lambda: another.record(build_id) is None)
    assert "given up" in told(follow).error


def test_a_claim_is_released_although_nobody_refers_to_it(one: Daemon, another: Daemon) -> None:
    for build_id in (uuid.uuid4().hex for _ in range(5)):
        claim = one.claim(build_id, ANNOTATIONS)
        assert claim
        claim.release()
        del claim
        gc.collect()
        wait_until(lambda: another.record(build_id) is None)  # noqa: B023 - called at once


def test_of_two_replicas_that_claim_a_build_one_has_it(shared_daemon: str) -> None:
    for _ in range(5):
        build_id = uuid.uuid4().hex
        with replica(shared_daemon, build_id) as first, replica(shared_daemon, build_id) as second:
            go(first)
            go(second)
            assert sorted([claimed(first), claimed(second)]) == [False, True]


def test_of_many_threads_that_claim_a_build_one_has_it_although_its_ref_was_just_given_up(
    shared_daemon: str,
) -> None:
    build_id = uuid.uuid4().hex
    clients = [Daemon(shared_daemon, patience=PATIENCE) for _ in range(6)]
    given_up = clients[0].claim(build_id, ANNOTATIONS)
    assert given_up
    given_up.release()
    wait_until(lambda: clients[0].record(build_id) is None)
    at_once = threading.Barrier(len(clients))

    def claim(client: Daemon) -> Claim | None:
        at_once.wait(WAIT)
        return client.claim(build_id, ANNOTATIONS)

    with ThreadPoolExecutor(len(clients)) as threads:
        claims = [made for made in threads.map(claim, clients) if made]

    assert len(claims) == 1
    claims[0].release()


def test_a_build_that_has_ended_cannot_be_claimed(
    one: Daemon, another: Daemon, build_id: str, claim: Claim
) -> None:
    assert another.claim(build_id, ANNOTATIONS) is None
    told(solve(one, claim.ref, QUICK))
    assert another.claim(build_id, ANNOTATIONS) is None
    claim.release()
    wait_until(lambda: recorded(one, build_id).state is State.SUCCEEDED)
    assert another.claim(build_id, ANNOTATIONS) is None


def test_a_replica_that_dies_is_reported_within_seconds_whatever_its_step_does(
    another: Daemon, shared_daemon: str, build_id: str
) -> None:
    with replica(shared_daemon, build_id, fresh(UNKILLABLE)) as owner:
        go(owner)
        said(owner, " up\n")
        follow = following(another, build_id)
        owner.kill()
        died = time.monotonic()
        followed = told(follow)

    assert time.monotonic() - died < SOON
    assert any(line.endswith(" up") for line in followed.log)
    assert "went away" in followed.error
    assert isinstance(error_of(another, build_id), Interrupted)
    [listed] = [each for each in another.records(limit=50) if each.ref.build_id == build_id]
    assert isinstance(listed.error, Interrupted)


def test_a_replica_that_dies_while_its_build_waits_is_reported_within_seconds(
    another: Daemon, shared_daemon: str, build_id: str
) -> None:
    with replica(shared_daemon, build_id) as owner:
        go(owner)
        assert claimed(owner)
        follow = following(another, build_id)
        owner.kill()
        died = time.monotonic()
        followed = told(follow)

    assert time.monotonic() - died < SOON
    assert "went away" in followed.error
    assert isinstance(error_of(another, build_id), Interrupted)


def test_an_abandoned_build_runs_again_at_once_under_its_id(
    another: Daemon, one: Daemon, shared_daemon: str, build_id: str
) -> None:
    with replica(shared_daemon, build_id, fresh(UNKILLABLE)) as owner:
        go(owner)
        said(owner, " up\n")
        owner.kill()
    wait_until(lambda: recorded(another, build_id).repeatable)

    claim = another.claim(build_id, ANNOTATIONS)
    assert claim
    own = told(solve(another, claim.ref, QUICK))
    claim.release()

    assert claim.ref == Ref(build_id, 2)
    assert same(told(following(one, build_id)), own)
    assert own.result is not None
    wait_until(lambda: recorded(one, build_id).state is State.SUCCEEDED)


def test_a_build_is_cancelled_from_another_replica(
    one: Daemon, another: Daemon, build_id: str, claim: Claim
) -> None:
    asked = threading.Event()
    one.on_cancel(claim.ref, asked.set)
    build = solve(one, claim.ref, 'FROM debian:trixie-slim\nRUN ["sleep", "41.25"]\n')
    next(line for lines in build for line in lines if "sleep" in line)
    follow = following(another, build_id)

    before = another.request_cancel(build_id)
    assert asked.wait(WAIT)
    one.declaration(
        claim.ref, ANNOTATIONS, BuildCancelled("The build was cancelled."), claim=claim
    )()
    build.close()
    claim.release()

    assert before
    assert before.state is State.RUNNING
    assert told(follow).error == "The build was cancelled."
    assert isinstance(error_of(another, build_id), BuildCancelled)
    assert another.claim(build_id, ANNOTATIONS) is None


def test_a_build_whose_owner_died_when_it_was_to_be_cancelled_is_cancelled(
    another: Daemon, shared_daemon: str, build_id: str
) -> None:
    with replica(shared_daemon, build_id, fresh(UNKILLABLE)) as owner:
        go(owner)
        said(owner, " up\n")
        another.request_cancel(build_id)
        owner.kill()

    wait_until(lambda: recorded(another, build_id).ended)
    assert isinstance(error_of(another, build_id), BuildCancelled)


def test_a_request_to_cancel_that_came_before_its_listener_is_heard(
    one: Daemon, another: Daemon, build_id: str, claim: Claim
) -> None:
    asked = threading.Event()
    another.request_cancel(build_id)

    one.on_cancel(claim.ref, asked.set)

    assert asked.wait(WAIT)


def test_what_has_ended_or_never_was_is_not_to_be_cancelled(
    one: Daemon, another: Daemon, build_id: str, claim: Claim
) -> None:
    told(solve(one, claim.ref, QUICK))
    wait_until(lambda: recorded(one, build_id).ended)

    before = another.request_cancel(build_id)

    assert before
    assert before.ended
    assert another.request_cancel(uuid.uuid4().hex) is None
    assert recorded(another, build_id).state is State.SUCCEEDED


def test_only_builds_are_listed_each_once_and_the_newest_first(
    one: Daemon, another: Daemon
) -> None:
    ids = [uuid.uuid4().hex for _ in range(3)]
    for build_id in ids:
        claim = one.claim(build_id, ANNOTATIONS)
        assert claim
        another.request_cancel(build_id)
        told(solve(one, claim.ref, QUICK))
        one.declaration(claim.ref, ANNOTATIONS, Interrupted("not needed"), claim=claim)()
    somebody_elses = uuid.uuid4().hex
    data = memoryview(QUICK.encode())
    tree = Tree((Entry("Dockerfile", Kind.FILE, 0o644, 0, data),))
    services = session_services({"context": tree, "dockerfile": tree}, lambda _host: ANONYMOUS, {})
    told(one.solve(SolveSpec(ref=somebody_elses), services, shared_key=once()))

    listed = [each.ref.build_id for each in another.records(limit=100)]

    assert [each for each in listed if each in ids] == ids[::-1]
    assert somebody_elses not in listed
    assert another.record(somebody_elses) is None
    assert len(another.records(limit=2)) <= 2


def test_why_an_owner_ended_its_build_is_known_to_all(
    one: Daemon, another: Daemon, build_id: str, claim: Claim
) -> None:
    build = solve(one, claim.ref, fresh(UNKILLABLE))
    next(line for lines in build for line in lines if line.endswith(" up"))
    follow = following(another, build_id)

    one.declaration(claim.ref, ANNOTATIONS, BuildTimedOut("It took too long."), claim=claim)()
    build.close()
    claim.release()

    assert told(follow).error == "It took too long."
    assert isinstance(error_of(another, build_id), BuildTimedOut)
    # Its step goes on.
    assert any(line.endswith(" up") for line in told(following(another, build_id)).log)
    assert recorded(another, build_id).completed


@pytest.mark.parametrize("is_claimed", [True, False], ids=["claimed", "without a claim"])
def test_a_build_that_was_told_as_ended_is_never_told_as_running(
    one: Daemon, another: Daemon, *, is_claimed: bool
) -> None:
    for build_id in (uuid.uuid4().hex for _ in range(5)):
        claim = one.claim(build_id, ANNOTATIONS) if is_claimed else None
        build = solve(one, Ref(build_id), fresh(UNKILLABLE))
        next(line for lines in build for line in lines if line.endswith(" up"))
        with ThreadPoolExecutor(1) as thread:
            watch = thread.submit(states_until_long_ended, another, build_id)
            error = BuildTimedOut("It took too long.")
            one.declaration(Ref(build_id), ANNOTATIONS, error, claim=claim)()
            build.close()
            if claim:
                claim.release()
            states = watch.result()

        assert states == [*dict.fromkeys(states)]
        assert states[-1] is State.FAILED


@pytest.mark.parametrize("ends_well", [True, False], ids=["succeeds", "fails"])
def test_a_journal_is_followed_as_a_build_is(
    one: Daemon, another: Daemon, build_id: str, claim: Claim, *, ends_well: bool
) -> None:
    steps = (Step(name="[1/1] RUN ä", duration=1.5, cached=True),)
    warnings = (BuildWarning(message="w", file="Dockerfile", line=1, detail=("d",)),)
    result = BuildResult(digest="sha256:1", size=7, platforms=("linux/amd64",))
    failure = FailedStep(name="RUN", exit_code=1, output=("o",), excerpt=("e",))
    lines = [f"#1 0.{number} é" for number in range(20)]
    journal = one.journal(claim.ref, ANNOTATIONS)
    wait_until(lambda: recorded(another, build_id).state is State.RUNNING)
    follow = following(another, build_id)

    with ThreadPoolExecutor() as threads:
        followed = threads.submit(told, follow)
        for line in lines:
            journal.write([line])
        if ends_well:
            journal.succeed(result, steps, warnings)
        else:
            journal.fail(BuildFailed("It failed.", failure), steps, warnings)

        assert followed.result(WAIT) == Account(
            log=lines,
            steps=["[1/1] RUN ä"],
            warnings=warnings,
            result=result if ends_well else None,
            error="" if ends_well else "It failed.",
            failed_step=None if ends_well else failure,
        )
    assert told(following(another, build_id)) == followed.result()
    record = recorded(another, build_id)
    assert record.result == (result if ends_well else None)
    assert record.annotations == ANNOTATIONS


def test_a_journal_is_nobodys_but_its_writers(
    one: Daemon, another: Daemon, build_id: str, claim: Claim
) -> None:
    journal = one.journal(claim.ref, ANNOTATIONS)

    with pytest.raises(Busy):
        another.journal(claim.ref, ANNOTATIONS)

    journal.fail(Interrupted("It was given up."), (), ())
    assert isinstance(error_of(another, build_id), Interrupted)


def test_a_long_journal_can_be_followed_from_behind(
    one: Daemon, another: Daemon, build_id: str, claim: Claim
) -> None:
    journal = one.journal(claim.ref, ANNOTATIONS)
    for _ in range(30):
        journal.write(["x" * 1000] * 1000)
    journal.write(["the last line"])
    journal.succeed(BuildResult(), (), ())

    followed = told(following(another, build_id))

    assert followed.result == BuildResult()
    assert 1000 < len(followed.log) < 30_000
    assert followed.log[-1] == "the last line"
    assert sum("keeps only the end" in line for line in followed.log) == 1


def test_builds_are_remembered_by_a_daemon_that_comes_back(
    machine: Machine, start_daemon: Callable[..., Buildkitd]
) -> None:
    root = machine.account.scratch(machine.paths, "history")
    daemon = start_daemon(root=root)
    port = int(daemon.address.rpartition(":")[2])
    client = Daemon(daemon.address, patience=PATIENCE)
    ended, lost = uuid.uuid4().hex, uuid.uuid4().hex
    claim = client.claim(ended, ANNOTATIONS)
    assert claim
    told(solve(client, claim.ref, QUICK))
    wait_until(lambda: recorded(client, ended).ended)
    claim = client.claim(lost, ANNOTATIONS)
    assert claim
    asked = threading.Event()
    client.on_cancel(claim.ref, asked.set)
    follow = following(client, lost)

    daemon.kill()
    with pytest.raises(DaemonUnavailable):
        told(follow)
    client.declaration(claim.ref, ANNOTATIONS, DaemonUnavailable("buildkitd died."), claim=claim)()
    start_daemon(root=root, port=port)

    wait_until(lambda: client.client.state().up)
    assert recorded(client, ended).state is State.SUCCEEDED
    wait_until(
        lambda: isinstance(client.record(lost) and error_of(client, lost), DaemonUnavailable)
    )
    assert recorded(client, lost).repeatable
    # What is cancelled is heard of as before.
    claim = client.claim(lost, ANNOTATIONS)
    assert claim
    client.on_cancel(claim.ref, asked.set)
    client.request_cancel(lost)
    assert asked.wait(WAIT)
    claim.release()


def test_a_verdict_that_comes_late_is_none_on_another_claim(
    start_daemon: Callable[..., Buildkitd], build_id: str
) -> None:
    daemon = start_daemon()
    owner = Daemon(daemon.address, patience=PATIENCE)
    lost = owner.claim(build_id, ANNOTATIONS)
    assert lost
    daemon.kill()
    start_daemon(port=int(daemon.address.rpartition(":")[2]))  # without its records
    another = Daemon(daemon.address, patience=PATIENCE)
    claim = another.claim(build_id, ANNOTATIONS)
    assert claim
    assert claim.ref == lost.ref

    owner.declaration(lost.ref, ANNOTATIONS, DaemonUnavailable("buildkitd died."), claim=lost)()

    assert recorded(another, build_id).state is State.QUEUED
    assert owner.claim(build_id, ANNOTATIONS) is None
    claim.release()


def test_asking_a_silent_daemon_how_it_is_ends_no_build(
    start_daemon: Callable[..., Buildkitd], build_id: str
) -> None:
    daemon = start_daemon()
    client = Daemon(daemon.address, patience=2.0)
    claim = client.claim(build_id, ANNOTATIONS)
    assert claim
    with Gate() as gate:
        build = solve(
            client, claim.ref, fresh(f"FROM debian:trixie-slim\nRUN {gate.command} # {{}}")
        )
        next(line for lines in build for line in lines if line.endswith(" arrived"))

        daemon.pause()
        with pytest.raises(BuildkitError):
            client.version()
        daemon.resume()

        gate.open()
        assert told(build).error == ""
    claim.release()
    wait_until(lambda: recorded(client, build_id).state is State.SUCCEEDED)


def test_a_daemon_that_falls_silent_is_not_waited_for(
    start_daemon: Callable[..., Buildkitd],
) -> None:
    daemon = start_daemon()
    client = Daemon(daemon.address, patience=2.0)
    build_id = uuid.uuid4().hex
    claim = client.claim(build_id, ANNOTATIONS)
    assert claim
    journal = client.journal(claim.ref, ANNOTATIONS)
    follow = following(client, build_id)
    lines = iter(follow)
    next(lines)

    daemon.pause()
    began = time.monotonic()
    with pytest.raises(DaemonUnavailable):
        list(lines)
    daemon.resume()

    assert time.monotonic() - began < SOON
    follow.close()
    journal.fail(Interrupted("It was given up."), (), ())
    claim.release()
