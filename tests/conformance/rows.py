"""Pure. A test declared as rows of the conformance table: run for each case and address of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from .table import Trial

if TYPE_CHECKING:
    from .table import Row


def conforms(*rows: Row) -> pytest.MarkDecorator:
    """Mark a test that takes `trial`."""
    trials = (
        Trial(row, case, address) for row in rows for case in row.shows for address in row.addresses
    )
    return pytest.mark.parametrize("trial", [_parameter(trial) for trial in trials])


def _parameter(trial: Trial) -> Any:
    name = f"{trial.row.client} {trial.row.call}, {trial.case}, {trial.address}"
    return pytest.param(trial, id=name, marks=pytest.mark.conformance(trial))
