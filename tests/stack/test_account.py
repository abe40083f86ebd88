"""The unprivileged account: its subordinate ids, and advice when namespaces are forbidden."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stack.install import account
from stack.paths import REPOSITORY

RANGES = st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 10**5)), max_size=8)


@given(RANGES)
def test_a_new_range_overlaps_no_range_given_before(ranges: list[tuple[int, int]]) -> None:
    table = "".join(f"someone:{first}:{count}\n" for first, count in ranges)

    chosen = account.first_free_id(table)

    assert chosen >= account.FIRST_SUBORDINATE_ID
    assert all(chosen >= first + count for first, count in ranges)


def test_ids_start_where_login_defs_says_when_none_are_given() -> None:
    assert account.first_free_id("") == account.FIRST_SUBORDINATE_ID


@pytest.mark.parametrize(
    "table",
    [
        pytest.param("builder-fn:100000:65536\n", id="whole range"),
        pytest.param("# a comment\nother:1:2\n\nbuilder-fn:100000:65536", id="among other lines"),
    ],
)
def test_finds_its_own_range(table: str) -> None:
    assert account.has_range(table, "builder-fn")


@pytest.mark.parametrize(
    "table",
    [
        pytest.param("", id="empty"),
        pytest.param("builder-fn:100000:1000\n", id="too small for an image's ids"),
        pytest.param("builder-fn2:100000:65536\n", id="someone else's"),
        pytest.param("builder-fn:many:65536\n", id="not a number"),
    ],
)
def test_sees_that_its_own_range_is_missing(table: str) -> None:
    assert not account.has_range(table, "builder-fn")


@pytest.mark.parametrize(
    ("switches", "command"),
    [
        ({"kernel.unprivileged_userns_clone": "0"}, "sysctl -w kernel.unprivileged_userns_clone=1"),
        ({"user.max_user_namespaces": "0"}, "sysctl -w user.max_user_namespaces=15000"),
        (
            {"user.max_user_namespaces": "9", "kernel.apparmor_restrict_unprivileged_userns": "1"},
            "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
        ),
    ],
)
def test_advises_the_switch_that_forbids_user_namespaces(
    switches: dict[str, str], command: str
) -> None:
    assert command in account.advice(switches)


def test_suspects_a_container_when_no_switch_forbids_user_namespaces() -> None:
    assert "container" in account.advice({"user.max_user_namespaces": "1"})


@pytest.mark.root
def test_a_container_that_hides_parts_of_proc_allows_no_process_sandbox() -> None:
    # As container engines do: something is mounted over a part of /proc.
    script = (
        f"import sys; sys.path.insert(0, {str(REPOSITORY / 'scripts')!r})\n"
        "from pathlib import Path; from stack.install.account import Account, allows_process_sandbox\n"
        "print(allows_process_sandbox(Account(65534, 65534, Path('/'))))"
    )
    whole = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    hidden = subprocess.run(
        [
            *("unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /proc/sys && exec "$@"', "sh"),
            *(sys.executable, "-c", script),
        ],
        capture_output=True,
        text=True,
        check=True,
    )

    assert hidden.stdout == "False\n"
    if whole.stdout == "False\n":
        pytest.skip("this machine allows none at all")
