from __future__ import annotations

import errno
import json
import logging
import os
from typing import TYPE_CHECKING

import pytest

from function.errors import NotReady
from function.tenants import tenants_file
from function.tenants.tenants_file import NAMES, TenantsFile

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "0123456789abcdef0123456789abcdef"
MALFORMED = b'{"tenants": {"acme": {"limits": {}}}}'


def of(*names: str) -> bytes:
    tenants = {
        name: {"keys": [{"name": "1", "secret": f"{SECRET}{number}"}]}
        for number, name in enumerate(names)
    }
    return json.dumps({"tenants": tenants}).encode()


def write(path: Path, content: bytes) -> None:
    """Exchange a file at one moment."""
    new = path.with_name(".new")
    new.write_bytes(content)
    new.replace(path)


def names(file: TenantsFile) -> list[str]:
    tenants = file.current()
    assert tenants
    return list(tenants.tenants)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "builder-tenants"


@pytest.fixture
def file(tmp_path: Path) -> TenantsFile:
    return TenantsFile(tmp_path)


def test_without_a_file_there_are_no_tenants(file: TenantsFile) -> None:
    assert file.current() is None
    assert file.warning == ""


@pytest.mark.parametrize("name", NAMES)
def test_finds_the_file_by_each_of_its_usual_names(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(of("acme"))

    assert names(TenantsFile(tmp_path)) == ["acme"]


def test_two_files_let_nobody_in(tmp_path: Path, file: TenantsFile) -> None:
    for name in ("builder-tenants", "tenants.json"):
        (tmp_path / name).write_bytes(of("acme"))

    with pytest.raises(NotReady, match=r"more than once, as builder-tenants and tenants\.json"):
        file.current()


def test_a_file_that_is_named_must_be_there(tmp_path: Path) -> None:
    file = TenantsFile(tmp_path, "customers")
    with pytest.raises(NotReady, match="is not there; mount it"):
        file.current()

    (tmp_path / "customers").write_bytes(of("acme"))
    assert names(file) == ["acme"]


def test_a_file_that_comes_later_is_used(path: Path, file: TenantsFile) -> None:
    assert file.current() is None

    write(path, of("acme"))

    assert names(file) == ["acme"]


def test_reads_again_what_was_exchanged(path: Path, file: TenantsFile) -> None:
    for content in (("acme",), ("acme", "beta"), ("beta",)):
        write(path, of(*content))
        assert names(file) == list(content)


def test_reads_again_what_was_written_in_place_within_one_tick_of_the_clock(
    path: Path, file: TenantsFile
) -> None:
    path.write_bytes(of("acme"))
    stat = path.stat()
    assert names(file) == ["acme"]

    path.write_bytes(of("beta"))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))

    assert names(file) == ["beta"]


def test_reads_again_as_kubernetes_exchanges_a_secret(tmp_path: Path) -> None:
    def mount(moment: str, content: bytes) -> None:
        (tmp_path / moment).mkdir()
        (tmp_path / moment / "builder-tenants").write_bytes(content)
        (tmp_path / "..data_tmp").symlink_to(moment)
        (tmp_path / "..data_tmp").replace(tmp_path / "..data")

    mount("..2026_01", of("acme"))
    (tmp_path / "builder-tenants").symlink_to("..data/builder-tenants")
    file = TenantsFile(tmp_path)
    assert names(file) == ["acme"]

    mount("..2026_02", of("beta"))

    assert names(file) == ["beta"]


def test_does_not_read_again_what_has_not_changed(
    path: Path, file: TenantsFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(path, of("acme"))
    monkeypatch.setattr("function.tenants.tenants_file._SETTLED_NANOSECONDS", -(10**9))
    first = file.current()
    monkeypatch.setattr(type(path), "read_bytes", lambda _path: pytest.fail("it was read again"))

    assert file.current() is first


def test_a_malformed_file_at_the_start_lets_nobody_in(path: Path, file: TenantsFile) -> None:
    write(path, MALFORMED)

    for _ in range(2):
        with pytest.raises(NotReady, match=r'tenants\[0\] has no "keys"') as caught:
            file.current()
        assert "acme" not in str(caught.value)

    write(path, of("acme"))
    assert names(file) == ["acme"]


def test_a_file_that_becomes_malformed_leaves_the_last_good_one_in_use(
    path: Path, file: TenantsFile, caplog: pytest.LogCaptureFixture
) -> None:
    write(path, of("acme"))
    good = file.current()
    write(path, MALFORMED)

    with caplog.at_level(logging.ERROR):
        assert [file.current() for _ in range(3)] == [good] * 3

    assert file.warning == (
        'The tenants file cannot be used: tenants[0] has no "keys"; without one nobody can sign for it. '
        "The one before it is kept."
    )
    [line] = caplog.messages
    assert 'tenants.acme has no "keys"' in line

    write(path, of("beta"))
    assert names(file) == ["beta"]
    assert file.warning == ""


def test_says_of_another_fault_again(
    path: Path, file: TenantsFile, caplog: pytest.LogCaptureFixture
) -> None:
    write(path, of("acme"))
    file.current()
    with caplog.at_level(logging.ERROR):
        for content in (MALFORMED, b"{", MALFORMED):
            write(path, content)
            file.current()

    assert len(caplog.messages) == 3


def test_what_is_restored_as_it_was_is_in_order_again(path: Path, file: TenantsFile) -> None:
    write(path, of("acme"))
    file.current()
    write(path, MALFORMED)
    file.current()
    write(path, of("acme"))

    assert names(file) == ["acme"]
    assert file.warning == ""


def test_a_file_that_goes_away_opens_no_door(path: Path, file: TenantsFile) -> None:
    write(path, of("acme"))
    file.current()

    path.unlink()

    assert names(file) == ["acme"]
    assert "is not there" in file.warning


def test_a_file_that_cannot_be_read_opens_no_door(path: Path, file: TenantsFile) -> None:
    path.mkdir()

    with pytest.raises(NotReady, match="cannot be read: Is a directory"):
        file.current()


def test_a_link_that_leads_nowhere_opens_no_door(path: Path, file: TenantsFile) -> None:
    path.symlink_to("nowhere")

    with pytest.raises(NotReady, match="leads nowhere"):
        file.current()


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take every file for one that was written long ago."""
    monkeypatch.setattr(tenants_file, "_SETTLED_NANOSECONDS", -(10**12))


@pytest.mark.usefixtures("settled")
def test_a_file_that_could_not_be_read_for_a_moment_is_read_then(
    path: Path, file: TenantsFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the process has as many files open as it may."""
    path.write_bytes(of("acme"))
    assert names(file) == ["acme"]
    write(path, of("beta"))

    with monkeypatch.context() as patched:
        patched.setattr(type(path), "read_bytes", _too_many)
        assert names(file) == ["acme"]
        assert "Too many open files" in file.warning

    assert names(file) == ["beta"]
    assert file.warning == ""


def _too_many(_path: Path) -> bytes:
    raise OSError(errno.EMFILE, "Too many open files")


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("other", ["tenants.json", "builder-tenants.yaml"])
def test_a_file_that_is_as_it_was_again_is_warned_of_no_longer(
    path: Path, file: TenantsFile, other: str
) -> None:
    path.write_bytes(of("acme"))
    assert names(file) == ["acme"]
    (path.parent / other).symlink_to(path.parent / "nowhere")
    assert names(file) == ["acme"]
    assert "leads nowhere" in file.warning

    (path.parent / other).unlink()

    assert names(file) == ["acme"]
    assert file.warning == ""
