"""A client of text/event-stream, the one kind that OpenFaaS' gateway passes on as it comes."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

from .conftest import HERE
from .errand import pauses
from .rows import conforms
from .table import Address, Case, Row, Trial

if TYPE_CHECKING:
    from .conftest import Send

EVENTS = Row(
    client="Python, server-sent events",
    call="Accept: text/event-stream",
    success="{image}",
    failed_build="exit 3 failed (Dockerfile:2)",
    wrong_key="X-Build-Signature does not match the body",
    wrong_password="was given no credentials, or not the right ones",
)
CLIENT = HERE / "python" / "events.py"


@conforms(EVENTS)
def test_events(trial: Trial, send: Send) -> None:
    errand = send(trial)
    printed = errand.run(sys.executable, CLIENT, errand.image)
    errand.assert_shows(printed)
    events = [event for event in map(json.loads, printed.out.splitlines()) if "data" in event]
    *progress, final = (json.loads(event["data"]) for event in events)
    assert {document["status"] for document in progress} <= {"in_progress"}
    assert final["status"] == ("success" if trial.case is Case.SUCCESS else "failed")
    assert len({event["id"] for event in events}) == len(events)


@pytest.mark.parametrize("address", Address)
def test_events_come_while_the_build_runs(address: Address, send: Send) -> None:
    errand = send(Trial(EVENTS, Case.SUCCESS, address), builds=pauses())
    errand.assert_live(sys.executable, CLIENT, errand.image)
