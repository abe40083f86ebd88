"""The daemons as one replica knows them; each is a gRPC server in this process at its own address."""

from __future__ import annotations

import concurrent.futures.thread
import logging
import socket
import threading
from typing import TYPE_CHECKING

import pytest

from function.buildkit.rpc.silence import Silence
from function.daemons import pool
from function.daemons.pool import Daemons
from function.daemons.rendezvous import in_order
from function.errors import DaemonUnavailable, Interrupted, NotReady
from function.history.refs import Part, Ref
from function.telemetry.metrics import FAILOVER, FIRST, SPILLED

from ..history.records import record
from ..live.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from function.daemons.daemon import Daemon

    from ..fake_buildkitd import FakeBuildkitd

KEY = "0123abcd"
URL, LOOKUP_URL = "tcp://pool:{}", "tcp://lookup:{}"


LOST = DaemonUnavailable("Lost.")


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Names:
    """A name server: what it has for each name; a name without addresses fails."""

    def __init__(self) -> None:
        self.of: dict[str, list[str]] = {}
        self.asked = 0

    def __call__(self, host: str, _port: int) -> list[str]:
        self.asked += 1
        if not self.of.get(host):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return self.of[host]


class Cluster:
    """Daemons 1, 2, … at 127.0.0.11, 127.0.0.12, … on one port, and a replica that knows some of them."""

    def __init__(self, start_daemon: Callable[..., FakeBuildkitd]) -> None:
        self._start_daemon = start_daemon
        with socket.socket() as free:
            free.bind(("127.0.0.11", 0))
            self.port = free.getsockname()[1]
        self.clock = Clock()
        self.names = Names()
        self.fakes: dict[str, FakeBuildkitd] = {}

    def start(self, number: int, worker_id: str = "", hostname: str = "") -> FakeBuildkitd:
        worker_id = worker_id or f"worker-{number}"
        fake = self._start_daemon(
            address=f"{self.ip(number)}:{self.port}",
            worker_id=worker_id,
            hostname=hostname or f"buildkitd-{number}",
        )
        self.fakes[worker_id] = fake
        return fake

    @staticmethod
    def ip(number: int) -> str:
        return f"127.0.0.{10 + number}"

    def tell(self, *numbers: int, name: str = "pool") -> None:
        self.names.of[name] = [self.ip(number) for number in numbers]

    def replica(self, *, lookup: bool = False, builds: int = 8) -> Daemons:
        lookup_urls = [LOOKUP_URL.format(self.port)] if lookup else []
        return Daemons(
            [URL.format(self.port)],
            lookup_urls=lookup_urls,
            tls=None,
            patience=2.0,
            builds=builds,
            resolve=self.names,
            clock=self.clock,
        )

    def runs(self, worker_id: str, builds: int) -> None:
        """Have so many builds run there, beside a claim of each."""
        history = self.fakes[worker_id].history
        history.lose_active()
        for number in range(builds):
            ref = Ref(f"{number:032x}")
            history.add(record(ref=ref))
            history.add(record(Part.CLAIM, ref=ref))


@pytest.fixture
def cluster(start_daemon: Callable[..., FakeBuildkitd], monkeypatch: pytest.MonkeyPatch) -> Cluster:
    monkeypatch.setattr(pool, "_REFRESH_SECONDS", 3600.0)  # tests look themselves
    return Cluster(start_daemon)


@pytest.fixture
def three(cluster: Cluster) -> Daemons:
    for number in (1, 2, 3):
        cluster.start(number)
    cluster.tell(1, 2, 3)
    return cluster.replica()


def ids(daemons: list[Daemon]) -> list[str]:
    return sorted(each.worker_id for each in daemons)


def order() -> list[str]:
    return in_order(KEY, ["worker-1", "worker-2", "worker-3"])


class TestAddresses:
    def test_one_address_is_spoken_to_by_its_name_and_asked_nothing(self, cluster: Cluster) -> None:
        fake = cluster.start(1)
        cluster.tell(1)
        replica = cluster.replica()

        assert replica.is_one
        (only,) = replica.all()
        assert replica.choose(KEY) == (only, FIRST)
        assert replica.takers() == replica.current() == replica.in_order(KEY) == [only]
        assert only.address.url == URL.format(cluster.port)
        replica.mark_down(only, LOST)
        assert not only.is_down
        replica.refresh()
        assert fake.reached("ListWorkers") + fake.reached("ListenBuildHistory") == 0

    def test_a_name_without_addresses_is_left_to_the_client_to_complain_of(
        self, cluster: Cluster
    ) -> None:
        replica = cluster.replica()

        assert replica.is_one
        assert [each.address.url for each in replica.all()] == [URL.format(cluster.port)]

    def test_each_address_of_a_name_is_a_daemon(self, three: Daemons) -> None:
        assert not three.is_one
        assert ids(three.all()) == ids(three.takers()) == ["worker-1", "worker-2", "worker-3"]
        assert sorted(each.name for each in three.all()) == [
            "buildkitd-1", "buildkitd-2", "buildkitd-3",
        ]  # fmt: skip

    def test_the_set_follows_the_name_server(self, cluster: Cluster, three: Daemons) -> None:
        three.refresh()
        cluster.start(4)
        cluster.tell(1, 3, 4)

        three.refresh()

        assert ids(three.current()) == ["worker-1", "worker-3", "worker-4"]

    def test_a_failure_of_the_name_server_changes_nothing_and_is_logged_once(
        self, cluster: Cluster, three: Daemons, caplog: pytest.LogCaptureFixture
    ) -> None:
        before = three.all()
        cluster.tell()

        with caplog.at_level(logging.WARNING):
            three.refresh()
            three.refresh()

        assert three.all() == before
        assert len([each for each in caplog.records if "has no address" in each.message]) == 1

    @pytest.mark.parametrize("number", [1, 2])
    def test_a_name_server_that_is_silent_holds_nobody_up(
        self, cluster: Cluster, monkeypatch: pytest.MonkeyPatch, number: int
    ) -> None:
        monkeypatch.setattr(pool, "_REFRESH_SECONDS", 0.1)
        for each in (1, 2):
            cluster.start(each)
        cluster.tell(1, 2)
        answers = threading.Event()

        def slowly(host: str, port: int) -> list[str]:
            answers.wait()
            return cluster.names(host, port)

        urls = [URL.format(cluster.port), LOOKUP_URL.format(cluster.port)][:number]
        found = Daemons(urls, tls=None, patience=0.01, builds=8, resolve=slowly)
        try:
            if number == 1:  # the client asks by itself, and complains of it
                assert [each.address.url for each in found.all()] == urls
            else:
                with pytest.raises(DaemonUnavailable):
                    found.choose(KEY)
                assert not found.knows_all()
        finally:
            answers.set()
        wait_until(lambda: ids(found.all()) == ["worker-1", "worker-2"], 10.0)

    def test_what_has_left_is_asked_for_a_while_and_gets_no_builds(
        self, cluster: Cluster, three: Daemons
    ) -> None:
        three.refresh()
        cluster.tell(1, 2)

        three.refresh()

        assert ids(three.current()) == ids(three.takers()) == ["worker-1", "worker-2"]
        assert ids(three.all()) == ["worker-1", "worker-2", "worker-3"]
        cluster.clock.now += 301
        three.refresh()
        assert ids(three.all()) == ["worker-1", "worker-2"]

    def test_those_that_drain_are_asked_and_get_no_builds(self, cluster: Cluster) -> None:
        for number in (1, 2):
            cluster.start(number)
        cluster.tell(1)
        cluster.tell(1, 2, name="lookup")
        replica = cluster.replica(lookup=True)

        assert ids(replica.all()) == ["worker-1", "worker-2"]
        assert ids(replica.takers()) == ["worker-1"]
        assert replica.choose(KEY)[0].worker_id == "worker-1"

    def test_the_only_daemon_of_both_names_is_one(self, cluster: Cluster) -> None:
        cluster.start(1)
        cluster.tell(1)
        cluster.tell(1, name="lookup")

        assert cluster.replica(lookup=True).is_one

    def test_once_there_have_been_several_the_last_is_spoken_to_by_its_address(
        self, cluster: Cluster, three: Daemons
    ) -> None:
        """Avoid its name, by which the connection might be one to a daemon that has left."""
        three.refresh()
        cluster.tell(2)

        three.refresh()

        assert not three.is_one
        assert three.choose(KEY)[0].address.url == f"tcp://{cluster.ip(2)}:{cluster.port}"

    def test_two_addresses_of_one_daemon_are_one(self, cluster: Cluster) -> None:
        cluster.start(1, "same", "buildkitd")
        cluster.start(2, "same", "buildkitd")
        cluster.tell(1, 2)
        replica = cluster.replica()

        (one,) = replica.all()
        assert one.address.url == f"tcp://{cluster.ip(1)}:{cluster.port}"
        assert one.name == "buildkitd"

    def test_of_two_addresses_of_one_daemon_the_one_that_answers_counts(
        self, cluster: Cluster
    ) -> None:
        """Go on by the new address of a pod while a name server still tells of the old one."""
        first = cluster.start(1, "same", "buildkitd")
        cluster.start(2, "same", "buildkitd")
        cluster.start(3, "other", "other")
        cluster.tell(1, 2, 3)
        replica = cluster.replica()
        (same,) = [each for each in replica.all() if each.worker_id == "same"]
        first.die()
        replica.mark_down(same, LOST)

        found = {each.worker_id: each.address.url for each in replica.all() if not each.is_down}

        assert found["same"] == f"tcp://{cluster.ip(2)}:{cluster.port}"
        assert ids(replica.takers()) == ids(replica.current()) == ["other", "same"]

    def test_another_host_with_the_same_id_does_not_stand_in(self, cluster: Cluster) -> None:
        first = cluster.start(1, "same", "buildkitd-1")
        cluster.start(2, "same", "buildkitd-2")
        cluster.tell(1, 2)
        replica = cluster.replica()
        (known,) = replica.all()
        first.die()
        replica.mark_down(known, LOST)

        assert [each.hostname for each in replica.all()] == ["buildkitd-1"]

    def test_two_hosts_with_one_id_are_told_in_the_log(
        self, cluster: Cluster, caplog: pytest.LogCaptureFixture
    ) -> None:
        cluster.start(1, "same", "buildkitd-1")
        cluster.start(2, "same", "buildkitd-2")
        cluster.tell(1, 2)

        with caplog.at_level(logging.WARNING):
            replica = cluster.replica()
            replica.refresh()
            replica.refresh()

        assert [each.hostname for each in replica.all()] == ["buildkitd-1"]
        assert sum("copy of the other's volume" in each.message for each in caplog.records) == 1

    def test_daemons_of_one_host_are_told_apart_by_their_addresses(self, cluster: Cluster) -> None:
        cluster.start(1, hostname="machine")
        cluster.start(2, hostname="machine")
        cluster.tell(1, 2)

        names = {each.name for each in cluster.replica().all()}

        assert names == {f"tcp://{cluster.ip(number)}:{cluster.port}" for number in (1, 2)}

    def test_an_address_that_is_none_is_refused(self) -> None:
        for urls, lookup_urls in (
            (["http://a"], []),
            (["tcp://a:1", "x"], []),
            (["tcp://a:1"], ["x"]),
        ):
            with pytest.raises(NotReady):
                Daemons(urls, lookup_urls=lookup_urls, tls=None, patience=1.0, builds=8)


class TestHealth:
    def test_one_that_does_not_answer_is_down_until_it_answers(
        self, cluster: Cluster, three: Daemons, caplog: pytest.LogCaptureFixture
    ) -> None:
        three.refresh()
        first = order()[0]
        cluster.fakes[first].die()

        with caplog.at_level(logging.WARNING):
            chosen, choice = three.choose(KEY)

        assert (chosen.worker_id, choice) == (order()[1], FAILOVER)
        # Why, since /ready does not say it of one of several: a certificate may be wrong.
        (said,) = [each.getMessage() for each in caplog.records]
        assert said.startswith(
            f"buildkitd {first.replace('worker', 'buildkitd')} does not answer: "
        )
        assert [each.worker_id for each in three.all() if each.is_down] == [first]
        cluster.fakes[first].start()

        def is_back() -> bool:
            three.refresh()
            return not any(each.is_down for each in three.all())

        cluster.fakes[first].wait_until(is_back)  # gRPC pauses for a second after a failure
        assert three.choose(KEY)[0].worker_id == first

    def test_a_silent_one_costs_a_second_once(self, cluster: Cluster, three: Daemons) -> None:
        three.refresh()
        silent = cluster.fakes[order()[0]]
        silent.fall_silent()
        asked = silent.reached("ListenBuildHistory")

        for _ in range(3):
            assert three.choose(KEY)[0].worker_id == order()[1]

        assert silent.reached("ListenBuildHistory") == asked + 1
        silent.speak()

    def test_without_any_that_answers_there_is_none(self, cluster: Cluster, three: Daemons) -> None:
        three.refresh()
        for fake in cluster.fakes.values():
            fake.die()

        with pytest.raises(DaemonUnavailable, match="No buildkitd answers") as raised:
            three.choose(KEY)

        assert raised.value.retry_after == 5

    def test_one_that_was_down_from_the_start_is_known(self, cluster: Cluster) -> None:
        cluster.start(1)
        cluster.start(2).die()
        cluster.tell(1, 2)
        replica = cluster.replica()

        assert [each.is_down for each in replica.all()] == [False, True]
        assert ids(replica.takers()) == ["worker-1"]
        assert replica.in_order(KEY)[-1].worker_id == ""

    def test_one_that_lost_its_disk_is_another_one_in_a_minute(
        self, cluster: Cluster, three: Daemons
    ) -> None:
        three.refresh()
        cluster.fakes["worker-2"].worker_id = "new"
        three.refresh()
        assert "worker-2" in ids(three.all())

        cluster.clock.now += 61
        three.refresh()

        assert ids(three.all()) == ["new", "worker-1", "worker-3"]


class TestChoice:
    def test_a_build_goes_to_the_first_of_its_order(self, three: Daemons) -> None:
        chosen = {key: three.choose(key)[0].worker_id for key in ("aaaaaaaa", "bbbbbbbb", KEY)}

        assert chosen == {
            key: in_order(key, ["worker-1", "worker-2", "worker-3"])[0] for key in chosen
        }

    def test_it_is_asked_for_its_builds_and_no_other_is(
        self, cluster: Cluster, three: Daemons
    ) -> None:
        three.choose(KEY)

        asked = {id_: fake.reached("ListenBuildHistory") > 0 for id_, fake in cluster.fakes.items()}
        assert asked == {id_: id_ == order()[0] for id_ in cluster.fakes}

    @pytest.mark.parametrize(
        ("loads", "chosen", "choice"),
        [
            ((7, 0, 0), 0, FIRST),
            ((8, 0, 0), 1, SPILLED),
            ((8, 4, 0), 1, SPILLED),
            ((8, 5, 4), 2, SPILLED),
            ((8, 5, 5), 0, FIRST),  # no other has half as much: it would only make both cold
            ((8, 8, 8), 0, FIRST),
            ((40, 8, 8), 0, FIRST),  # half as much, but without room
            ((16, 7, 0), 1, SPILLED),
        ],
    )
    def test_it_spills_to_one_that_has_room_and_half_as_much(
        self,
        cluster: Cluster,
        three: Daemons,
        loads: tuple[int, ...],
        chosen: int,
        choice: str,
    ) -> None:
        for worker_id, load in zip(order(), loads, strict=True):
            cluster.runs(worker_id, load)

        found, said = three.choose(KEY)

        assert (found.worker_id, said) == (order()[chosen], choice)

    def test_it_spills_no_further_than_two_of_a_few(self, cluster: Cluster) -> None:
        for number in (1, 2, 3, 4):
            cluster.start(number)
        cluster.tell(1, 2, 3, 4)
        replica = cluster.replica(builds=2)
        preferred = in_order(KEY, [f"worker-{number}" for number in (1, 2, 3, 4)])
        for worker_id, load in zip(preferred, (2, 2, 2, 0), strict=True):
            cluster.runs(worker_id, load)

        assert replica.choose(KEY)[0].worker_id == preferred[0]

    def test_one_that_was_lost_is_not_chosen_again(self, three: Daemons) -> None:
        first, _ = three.choose(KEY)

        second, choice = three.choose(KEY, but=(first,))

        assert ([first.worker_id, second.worker_id], choice) == (order()[:2], FAILOVER)

    def test_one_that_joins_gets_builds_after_a_minute(
        self, cluster: Cluster, three: Daemons
    ) -> None:
        three.refresh()
        cluster.clock.now += 1_000
        cluster.start(4)
        cluster.tell(1, 2, 3, 4)
        three.refresh()
        everyone = [f"worker-{number}" for number in (1, 2, 3, 4)]
        key = next(
            key
            for key in map("{:08x}".format, range(99))
            if in_order(key, everyone)[0] == "worker-4"
        )

        assert "worker-4" in ids(three.all())
        assert three.choose(key)[0].worker_id == in_order(key, everyone)[1]
        cluster.clock.now += 60
        assert three.choose(key)[0].worker_id == "worker-4"

    def test_one_that_comes_back_gets_builds_at_once(
        self, cluster: Cluster, three: Daemons
    ) -> None:
        """Come back at another address, as a pod does: its cache is what its builds are after."""
        three.refresh()
        cluster.clock.now += 1_000
        first = order()[0]
        number = int(first[-1])
        cluster.fakes[first].die()
        rest = [each for each in (1, 2, 3) if each != number]
        cluster.tell(*rest)
        three.refresh()
        cluster.clock.now += 100
        cluster.start(5, first)
        cluster.tell(*rest, 5)

        three.refresh()

        assert three.choose(KEY)[0].worker_id == first

    def test_one_that_joins_where_nobody_else_is_gets_builds_at_once(
        self, cluster: Cluster, three: Daemons
    ) -> None:
        three.refresh()
        cluster.clock.now += 1_000
        cluster.start(4)
        cluster.tell(4)

        three.refresh()

        assert three.choose(KEY)[0].worker_id == "worker-4"

    def test_says_whether_one_still_takes_builds(self, cluster: Cluster, three: Daemons) -> None:
        one, another = three.takers()[:2]
        cluster.tell(int(one.worker_id[-1]))
        three.refresh()

        assert three.takes(one)
        assert not three.takes(another)
        three.mark_down(one, LOST)
        assert not three.takes(one)


def test_at_the_end_of_the_process_nobody_is_asked_and_nothing_is_said_of_it(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(pool, "_REFRESH_SECONDS", 0.001)
    for number in (1, 2):
        cluster.start(number)
    cluster.tell(1, 2)
    found = cluster.replica()
    found.refresh()
    monkeypatch.setattr(found, "_is_due", lambda *_: True)
    looking = threading.Thread(target=found._keep_fresh)

    with monkeypatch.context() as ending:  # as Python does before it waits for its threads
        ending.setattr(concurrent.futures.thread, "_shutdown", True)
        with pytest.raises(Interrupted):
            found.ask(found.all(), lambda each: each.name)
        looking.start()
        looking.join(10)

    assert not looking.is_alive()
    assert caplog.messages == []


class TestSilence:
    def test_builds_that_ask_a_silent_daemon_at_one_time_find_that_out_together(
        self, three: Daemons, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first = three.in_order(KEY)[0]
        asked: list[float] = []

        def load(*, seconds: float) -> int:
            asked.append(seconds)
            return 0

        monkeypatch.setattr(first.history, "load", load)
        clock = Clock()
        first.client.silence = Silence(clock)
        three.choose(KEY)
        first.client.silence.asked()
        clock.now += 0.5
        three.choose(KEY)

        assert asked == [1.0, pytest.approx(0.5)]
