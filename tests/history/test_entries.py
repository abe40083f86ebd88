from __future__ import annotations

from typing import TYPE_CHECKING

from function.buildkit.outcome import BuildWarning, Step
from function.history.journal.entries import Entries, JournalLog, steps_entry
from function.pb import control_pb2, gateway_pb2

if TYPE_CHECKING:
    from collections.abc import Iterable


def shown(entries: Iterable[gateway_pb2.WarnRequest]) -> control_pb2.StatusResponse:
    """Return what the daemon makes of warnings."""
    return control_pb2.StatusResponse(
        warnings=[
            control_pb2.VertexWarning(
                vertex=entry.digest, short=entry.short, detail=entry.detail, url=entry.url
            )
            for entry in entries
        ]
    )


def test_lines_come_out_in_their_order_however_they_are_sent() -> None:
    entries, log = Entries(), JournalLog()

    sent = [entry for number in range(5) for entry in entries.of([f"{number} ä", ""])]

    assert log.update(shown(sent[:2])) + log.update(shown(sent[2:])) == [
        line for number in range(5) for line in (f"{number} ä", "")
    ]


def test_no_lines_are_no_entry() -> None:
    assert [*Entries().of([])] == []


def test_what_became_of_the_steps_is_known_at_the_end() -> None:
    log = JournalLog()
    steps, warnings = [Step(name="a", duration=1.5)], [BuildWarning(message="w")]

    assert log.update(shown([steps_entry(steps, warnings)])) == []

    assert (log.steps, log.warnings) == (tuple(steps), tuple(warnings))


def told(batches: Iterable[list[str]]) -> list[str]:
    """Return what is to be read of a log that came in *batches*, of which the daemon sends all at once."""
    entries = Entries()
    sent = [entry for batch in batches for entry in entries.of(batch)]
    response = shown([*sent, *entries.rest()])
    assert response.ByteSize() < 10 << 20
    return JournalLog().update(response)


def test_a_log_longer_than_one_message_of_the_daemons_lacks_its_middle_and_says_so() -> None:
    log = [f"{number} {'x' * 1000}" for number in range(20_000)]

    lines = told([line] for line in log)

    cut = next(index for index, line in enumerate(lines) if "keeps only the end" in line)
    head, tail = lines[:cut], lines[cut + 2 :]
    assert len(head) > 7_000
    assert len(tail) > 100
    assert head == log[: len(head)]
    assert tail == log[-len(tail) :]
    assert lines[cut + 1] == f"[Lines left out here: {len(log) - len(head) - len(tail)}]"


def test_of_a_log_that_is_hardly_too_long_nothing_is_left_out() -> None:
    log = [f"{number} {'x' * 1000}" for number in range(8300)]

    lines = told([line] for line in log)

    assert len(lines) == len(log) + 1
    assert [line for line in lines if "keeps only the end" not in line] == log


def test_an_endless_last_line_is_cut_in_its_middle() -> None:
    *_, last = told([["ä" * (16 << 20) + " why"]])

    assert len(last) == 128 << 10
    assert last.endswith("ä why")
    assert " … " in last


def test_somebody_elses_warnings_are_no_entries() -> None:
    warning = control_pb2.VertexWarning(
        short=b"JSONArgsRecommended", url="https://docs.docker.com/", detail=[b'{"lines": ["x"]}']
    )

    assert JournalLog().update(control_pb2.StatusResponse(warnings=[warning])) == []
