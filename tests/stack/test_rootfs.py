"""Layers made from folders: what is in them, and that their digests are true."""

import gzip
import hashlib
import tarfile
from pathlib import Path

import pytest
from stack.images import oci, rootfs


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    for folder in ("bin", "usr/src/sys", "dev", "proc/1", "tmp", "etc", "var/cache/apt/archives"):
        (root / folder).mkdir(parents=True)
    (root / "bin/tool").write_bytes(b"\x7fELF")
    (root / "bin/tool").chmod(0o4755)
    (root / "bin/alias").symlink_to("tool")
    (root / "etc/conf").write_text("old")
    (root / "usr/src/sys/kept.c").touch()
    (root / "dev/null").touch()
    (root / "proc/1/stat").touch()
    (root / "var/cache/apt/archives/huge.deb").touch()
    return root


def names(layer: oci.Layer) -> list[str]:
    with tarfile.open(layer.path) as tar:
        return tar.getnames()


def test_leaves_out_what_the_runtime_brings_and_keeps_the_empty_folders(
    root: Path, tmp_path: Path
) -> None:
    listed = names(rootfs.layer(root, tmp_path / "layer"))

    assert {"dev", "proc", "tmp", "var/cache/apt", "usr/src/sys/kept.c"} <= set(listed)
    assert not {"dev/null", "proc/1", "var/cache/apt/archives"} & set(listed)


def test_keeps_modes_and_links(root: Path, tmp_path: Path) -> None:
    layer = rootfs.layer(root, tmp_path / "layer")

    with tarfile.open(layer.path) as tar:
        assert tar.getmember("bin/tool").mode == 0o4755
        assert tar.getmember("bin/alias").linkname == "tool"


def test_a_later_layer_holds_only_what_changed(root: Path, tmp_path: Path) -> None:
    marker = rootfs.change_marker(root)
    (root / "etc/conf").write_text("new")
    (root / "bin/added").touch()

    listed = names(rootfs.layer(root, tmp_path / "layer", newer_than=marker))

    assert {"etc/conf", "bin/added"} <= set(listed)
    assert not {"bin/tool", "bin/alias", "etc"} & set(listed)


def test_digests_are_of_the_compressed_and_of_the_plain_tar(root: Path, tmp_path: Path) -> None:
    layer = rootfs.layer(root, tmp_path / "layer")
    compressed = layer.path.read_bytes()

    assert layer.size == len(compressed)
    assert layer.digest == oci.digest_of(compressed)
    assert layer.diff_id == "sha256:" + hashlib.sha256(gzip.decompress(compressed)).hexdigest()


def test_the_same_folder_gives_the_same_layer(root: Path, tmp_path: Path) -> None:
    first, second = (rootfs.layer(root, tmp_path / name) for name in ("one", "two"))

    assert first.digest == second.digest


def test_a_single_file_becomes_an_executable_at_the_top(root: Path, tmp_path: Path) -> None:
    layer = rootfs.single_file_layer(root / "etc/conf", "fwatchdog", tmp_path / "layer")

    with tarfile.open(layer.path) as tar:
        assert [(member.name, member.mode) for member in tar] == [("fwatchdog", 0o755)]


@pytest.mark.root
def test_a_root_comes_back_from_its_layers_ready_to_install_in(root: Path, tmp_path: Path) -> None:
    lower = rootfs.layer(root, tmp_path / "lower")
    marker = rootfs.change_marker(root)
    (root / "etc/conf").write_text("new")
    upper = rootfs.layer(root, tmp_path / "upper", newer_than=marker)
    again = tmp_path / "again"
    again.mkdir()

    with (tmp_path / "log").open("wb") as log:
        rootfs.unpack([lower, upper], again, log)

    assert (again / "etc/conf").read_text() == "new"
    assert (again / "bin/tool").stat().st_mode & 0o7777 == 0o4755
    assert (again / "bin/alias").readlink() == Path("tool")
    assert (again / "dev/null").is_char_device()
    assert (again / "etc/resolv.conf").read_bytes() == rootfs.RESOLVER.read_bytes()
