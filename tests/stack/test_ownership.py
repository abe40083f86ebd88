"""Root's work for the account, and its refusals: with a real second user where there is one."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from stack.errors import StackError
from stack.install import ownership
from stack.install.account import Account

if TYPE_CHECKING:
    from collections.abc import Iterator

NOBODY = 65534
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives anything away")


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def account(folder: Path) -> Account:
    uid = NOBODY if os.geteuid() == 0 else os.geteuid()
    return Account(uid, uid, folder)


@AS_ROOT
def test_a_folder_is_given_and_its_parents_are_kept(folder: Path, account: Account) -> None:
    given = account.own(folder / "daemon" / "run")

    assert given.stat().st_uid == NOBODY
    assert stat.S_IMODE(given.stat().st_mode) == 0o700
    assert given.parent.stat().st_uid == 0


@AS_ROOT
def test_nothing_is_given_that_stands_in_a_folder_of_the_accounts(
    folder: Path, account: Account
) -> None:
    its = account.own(folder / "its")

    with pytest.raises(StackError, match=r"its can be changed by others than root"):
        account.own(its / "below")
    assert not (its / "below").exists()


@AS_ROOT
def test_a_link_that_the_account_planted_gives_it_nothing(folder: Path, account: Account) -> None:
    target = folder / "of-root"
    target.mkdir()
    (folder / "run").symlink_to(target)
    (folder / "file").touch()

    with pytest.raises(StackError, match="run is no folder"):
        account.own(folder / "run")
    with pytest.raises(StackError, match="file is no folder"):
        account.own(folder / "file")
    assert target.stat().st_uid == 0


@AS_ROOT
def test_a_link_on_the_way_there_that_leads_through_the_accounts_folder_is_refused(
    folder: Path, account: Account
) -> None:
    its = account.own(folder / "its")
    (its / "real").mkdir()
    (folder / "link").symlink_to(its / "real")

    with pytest.raises(StackError, match="can be changed by others"):
        ownership.write(folder / "link" / "file", "")


@AS_ROOT
def test_a_folder_that_everybody_may_change_is_refused_unless_it_is_sticky(folder: Path) -> None:
    (folder / "open").mkdir()
    (folder / "open").chmod(0o777)
    with pytest.raises(StackError, match="can be changed by others"):
        ownership.keep(folder / "open" / "below")

    (folder / "open").chmod(0o1777)
    ownership.keep(folder / "open" / "below")


@AS_ROOT
def test_what_an_earlier_version_gave_away_is_taken_back(folder: Path, account: Account) -> None:
    state = account.own(folder / "state")

    ownership.keep(state)

    assert state.stat().st_uid == 0
    assert stat.S_IMODE(state.stat().st_mode) == 0o755


@pytest.mark.parametrize("plant", [Path.symlink_to, Path.hardlink_to])
def test_what_is_written_or_logged_follows_no_planted_link(folder: Path, plant: object) -> None:
    victim = folder / "victim"
    victim.write_text("whole")
    for name in ("settings", "log"):
        plant(folder / name, victim)  # type: ignore[operator]

    ownership.write(folder / "settings", "told")
    with ownership.open_log(folder / "log") as log:
        log.write(b"said")

    assert victim.read_text() == "whole"
    assert (folder / "settings").read_text() == "told"
    assert (folder / "log").read_text() == "said"


def test_a_log_is_added_to(folder: Path) -> None:
    for word in (b"one ", b"two"):
        with ownership.open_log(folder / "log") as log:
            log.write(word)

    assert (folder / "log").read_text() == "one two"


def test_a_copy_is_for_the_account_alone(folder: Path, account: Account) -> None:
    key = folder / "key"
    key.write_text("secret")

    copy = account.copy(key, ownership.keep(folder / "copies"))

    assert copy.stat().st_uid == account.uid
    assert stat.S_IMODE(copy.stat().st_mode) == 0o400


def test_a_daemon_is_told_nothing_of_the_shells_that_is_not_for_it(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of the operator's")
    monkeypatch.setenv("max_builds", "1")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")

    told = account.environment(port="1")

    assert {"AWS_SECRET_ACCESS_KEY", "max_builds"}.isdisjoint(told)
    assert told["HTTPS_PROXY"] == "http://proxy.example:3128"
    assert told["port"] == "1"
    assert told["HOME"] == str(account.home)
