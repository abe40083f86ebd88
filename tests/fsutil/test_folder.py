from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

from function.fsutil import Entry, Kind, read_folder

if TYPE_CHECKING:
    from pathlib import Path


def test_reads_files_folders_and_links_with_their_modes_and_times(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir(mode=0o750)
    (tmp_path / "a" / "run").write_bytes(b"x")
    (tmp_path / "a" / "run").chmod(0o4755)
    (tmp_path / "link").symlink_to("nowhere")
    os.utime(tmp_path / "a" / "run", ns=(0, 1_700_000_000_123_456_789))

    folder, run, link = read_folder(tmp_path).entries

    assert (folder.path, folder.kind, folder.mode) == ("a", Kind.DIRECTORY, 0o750)
    expected = Entry("a/run", Kind.FILE, 0o4755, 1_700_000_000_123_456_789, memoryview(b"x"))
    assert run == expected
    assert (link.path, link.kind, link.linkname) == ("link", Kind.SYMLINK, "nowhere")


def test_entries_come_in_the_order_that_the_daemon_wants(tmp_path: Path) -> None:
    for name in ("a-b", "a/x", "a.c"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")

    assert [entry.path for entry in read_folder(tmp_path).entries] == ["a", "a/x", "a-b", "a.c"]


def test_what_no_layer_can_hold_is_left_out(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))

        assert read_folder(tmp_path).entries == ()
