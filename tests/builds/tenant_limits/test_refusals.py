from __future__ import annotations

import pytest

from function.builds.tenant_limits.refusals import hour_is_full, line_is_full
from function.tenants import Limits


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        (
            Limits(builds=2, waiting=3),
            "2 of your builds may run at once, and 3 may wait, and so many do.",
        ),
        (Limits(builds=1, waiting=0), "1 of your builds may run at once, and none may wait."),
        (Limits(waiting=3), "Of your builds 3 may wait, and so many do."),
        (Limits(waiting=0), "Of your builds none may wait."),
    ],
)
def test_a_full_line_says_what_may_run_and_wait(limits: Limits, said: str) -> None:
    refused = line_is_full(limits, 3.0)

    assert str(refused).startswith(f"{said} Try again later")
    assert refused.retry_after == 3


@pytest.mark.parametrize(
    ("most", "said"), [(1, "begun 1 build within"), (2, "begun 2 builds within")]
)
def test_a_full_hour_says_how_many_were_begun(most: int, said: str) -> None:
    assert said in str(hour_is_full(Limits(builds_per_hour=most), 60.0))
