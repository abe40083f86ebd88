"""The tar that scripts/build.py sends: names, times and modes as they are, read back by the builder."""

from __future__ import annotations

import gzip
import io
import json
import os
import tarfile
import tempfile
from pathlib import Path, PurePosixPath

import pytest
from build_client.context import archive, overlay
from build_client.errors import UsageError
from hypothesis import given
from hypothesis import strategies as st

CONFIG = archive.build_config({"image": "r/a:1"})

# Names as Linux has them: any bytes but "/" and NUL, at most 255 of them.
names = st.binary(min_size=1, max_size=60).filter(
    lambda name: not set(name) & {0, 0x2F} and name not in {b".", b".."}
)
times = st.integers(-(2**33), 2**33).flatmap(
    lambda seconds: st.integers(0, 10**9 - 1).map(lambda rest: seconds * 10**9 + rest)
)


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    folder = tmp_path / "plain"
    folder.mkdir()
    (folder / "Dockerfile").write_text("FROM scratch\n")
    return folder


def tarred(folder: Path) -> bytes:
    return archive.tar(overlay(None, folder), CONFIG)


def members(body: bytes) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(body), encoding="utf-8") as opened:
        return {member.name: member for member in opened}


def exact_time(member: tarfile.TarInfo) -> int:
    """Return a time in nanoseconds, which a float has no room for."""
    text = member.pax_headers.get("mtime", f"{int(member.mtime)}")
    whole, _, rest = text.removeprefix("-").partition(".")
    time = int(whole) * 10**9 + int(rest.ljust(9, "0") or "0")
    return -time if text.startswith("-") else time


def test_files_keep_their_times_to_the_nanosecond(plain: Path) -> None:
    (plain / "source").touch()
    (plain / "folder").mkdir()
    (plain / "link").symlink_to("source")
    for name, time in (
        ("source", 1_700_000_000_123_456_789),
        ("folder", 1_699_999_999_000_000_001),
    ):
        os.utime(plain / name, ns=(time, time))
    os.utime(plain / "link", ns=(5, 1_600_000_000_000_000_003), follow_symlinks=False)

    found = members(tarred(plain))

    assert exact_time(found["context/source"]) == 1_700_000_000_123_456_789
    assert exact_time(found["context/folder"]) == 1_699_999_999_000_000_001
    assert exact_time(found["context/link"]) == 1_600_000_000_000_000_003


@given(time=times)
def test_any_time_survives(time: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "Dockerfile")
        file.touch()
        os.utime(file, ns=(time, time))
        kept = file.stat().st_mtime_ns  # as this file system holds it

        assert exact_time(members(tarred(Path(folder)))["context/Dockerfile"]) == kept


def test_a_whole_second_needs_no_header_of_its_own(plain: Path) -> None:
    os.utime(plain / "Dockerfile", (1_700_000_000, 1_700_000_000))

    member = members(tarred(plain))["context/Dockerfile"]

    assert (member.mtime, member.pax_headers) == (1_700_000_000, {})


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o664, 0o755, 0o400, 0o4755, 0o2711])
def test_files_keep_their_modes(plain: Path, mode: int) -> None:
    (plain / "run").touch()
    (plain / "run").chmod(mode)

    assert members(tarred(plain))["context/run"].mode == mode


def test_folders_keep_their_modes(plain: Path) -> None:
    (plain / "sticky").mkdir()
    (plain / "sticky").chmod(0o1777)

    assert members(tarred(plain))["context/sticky"].mode == 0o1777


def test_nobody_owns_what_is_sent(plain: Path) -> None:
    os.chown(plain / "Dockerfile", 1234, 1234)

    assert {(m.uid, m.gid, m.uname, m.gname) for m in members(tarred(plain)).values()} == {
        (0, 0, "", "")
    }


@given(name=names, target=names)
def test_names_travel_byte_for_byte(name: bytes, target: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "Dockerfile").touch()
        below = Path(folder, os.fsdecode(b"d" + name))
        below.mkdir()
        (below / os.fsdecode(name)).write_bytes(b"x")
        (below / "to").symlink_to(os.fsdecode(target))
        if name == b"to":
            return

        found = members(tarred(Path(folder)))

    stored = {os.fsencode(path) for path in found}
    assert b"context/d" + name + b"/" + name in stored
    links = [os.fsencode(member.linkname) for member in found.values() if member.issym()]
    assert target in links


def test_a_links_target_is_kept_verbatim(plain: Path) -> None:
    os.symlink(".//a/./b/", plain / "link")  # noqa: PTH211  a Path would tidy it up

    assert members(tarred(plain))["context/link"].linkname == ".//a/./b/"


def test_a_name_that_is_no_text_is_stored_as_its_bytes(plain: Path) -> None:
    Path(os.fsdecode(os.fsencode(plain) + b"/caf\xe9")).touch()

    assert b" path=context/caf\xe9\n" in tarred(plain)


def test_equal_files_give_equal_bytes_whatever_order_they_were_made_in(tmp_path: Path) -> None:
    for folder, order in (("one", ("a", "b")), ("two", ("b", "a"))):
        (tmp_path / folder).mkdir()
        for name in (*order, "Dockerfile"):
            (tmp_path / folder / name).write_text(name)
            os.utime(tmp_path / folder / name, ns=(7, 7_000_000_007))
        os.utime(tmp_path / folder, ns=(7, 7_000_000_007))

    assert tarred(tmp_path / "one") == tarred(tmp_path / "two")


def test_the_config_is_first_and_every_folder_before_what_it_holds(plain: Path) -> None:
    (plain / "a").mkdir()
    (plain / "a" / "x").touch()
    (plain / "a-b").touch()
    (plain / "empty").mkdir()

    found = list(members(tarred(plain)))

    assert found[:2] == ["com.openfaas.docker.config", "context"]
    assert all(
        found.index(str(parent)) < at
        for at, name in enumerate(found)
        for parent in list(PurePosixPath(name).parents)[:-1]
    )
    assert "context/empty" in found


def test_long_names_travel(plain: Path) -> None:
    name = "é" * 80 + "/" + "x" * 120
    (plain / name).parent.mkdir()
    (plain / name).touch()

    assert f"context/{name}" in members(tarred(plain))


def test_the_config_says_only_what_was_asked_for() -> None:
    nothing = {"buildArgs": {}, "platforms": [], "target": "", "skipPush": False}

    assert json.loads(archive.build_config({"image": "r/a:1", **nothing})) == {"image": "r/a:1"}


def test_sealed_secrets_are_last_and_for_the_owner_alone(plain: Path) -> None:
    body = archive.tar(overlay(None, plain), CONFIG, b"sealed")

    *_, last = members(body).values()
    assert (last.name, last.mode, last.size) == ("com.openfaas.secrets", 0o600, len(b"sealed"))


def test_compresses_to_the_same_bytes_each_time(plain: Path) -> None:
    body = tarred(plain)

    assert archive.compress(body) == archive.compress(body)
    assert gzip.decompress(archive.compress(body)) == body


def test_a_file_that_went_meanwhile_is_told(plain: Path) -> None:
    context = overlay(None, plain)
    (plain / "Dockerfile").unlink()

    with pytest.raises(UsageError, match="cannot be read: No such file"):
        archive.tar(context, CONFIG)


def test_windows_which_has_no_x_bit_sends_what_buildkits_client_sends_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(archive, "_IS_WINDOWS", True)

    assert archive._mode(0o100666) == 0o755
    assert archive._mode(0o100444) == 0o555
