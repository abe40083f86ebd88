from __future__ import annotations

from typing import TYPE_CHECKING

from function.buildkit.journal_entries import Entries, JournalLog, steps_entry
from function.outcome import BuildWarning, Step
from function.pb import control_pb2, gateway_pb2

if TYPE_CHECKING:
    from collections.abc import Iterable


def shown(entries: Iterable[gateway_pb2.WarnRequest]) -> control_pb2.StatusResponse:
    """What the daemon makes of warnings."""
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


def test_a_log_longer_than_one_message_of_the_daemons_is_cut_and_says_so() -> None:
    entries, log = Entries(), JournalLog()
    sent = [entry for _ in range(20) for entry in entries.of(["x" * (1 << 20)])]

    response = shown(sent)
    lines = log.update(response)

    assert response.ByteSize() < 9 << 20
    assert len(lines) < 10
    assert "holds no more of it" in lines[-1]
    assert "holds no more of it" not in lines[-2]


def test_somebody_elses_warnings_are_no_entries() -> None:
    warning = control_pb2.VertexWarning(
        short=b"JSONArgsRecommended", url="https://docs.docker.com/", detail=[b'{"lines": ["x"]}']
    )

    assert JournalLog().update(control_pb2.StatusResponse(warnings=[warning])) == []
