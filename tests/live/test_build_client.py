"""scripts/build.py against the real builder: what it sends is what steps see, what it says is so."""

from __future__ import annotations

import json
import os
import re
import time
from typing import TYPE_CHECKING

import pytest
from build_client.cli import main
from stack.images.registry_client import RegistryClient

from .caller import SECRET

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from .conftest import StartFunction

    BuildPy = Callable[..., int]

NEW = f"# {os.urandom(8).hex()}"  # makes a step one that no run before has left in the cache
BASE = "FROM debian:trixie-slim\n"
# What make does: a target that is not older than its source stays as it is.
MAKE = """
RUN --mount=type=bind,target=/s --mount=type=cache,id={cache},target=/out \\
    if [ ! -e /out/prog ] || [ /s/source -nt /out/prog ]; then cp /s/source /out/prog; fi; \\
    echo "built of: $(cat /out/prog)"
"""


@pytest.fixture
def environ(tmp_path: Path, builder: str) -> Mapping[str, str]:
    secret = tmp_path / "payload-secret"
    secret.write_bytes(SECRET)
    return {"BUILDER_URL": builder, "PAYLOAD_SECRET_FILE": str(secret)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "context"
    folder.mkdir()
    return folder


@pytest.fixture
def build_py(folder: Path, environ: Mapping[str, str]) -> BuildPy:
    """Build the folder by this Dockerfile, with these options."""

    def build(dockerfile: str, *options: str) -> int:
        (folder / "Dockerfile").write_text(BASE + dockerfile)
        return main([*(options or ("--skip-push", "-t", "unused:1")), str(folder)], environ)

    return build


def said(capsys: pytest.CaptureFixture[str]) -> str:
    shown = capsys.readouterr()
    return shown.out + shown.err


def test_a_changed_source_is_built_by_what_goes_by_times(
    build_py: BuildPy, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make = MAKE.format(cache=tmp_path.name + os.urandom(4).hex())
    (folder / "source").write_text("old")
    assert build_py(make) == 0
    assert "built of: old" in said(capsys)

    time.sleep(1.1)  # what is built within a second of its source may be either
    (folder / "source").write_text("new")

    assert build_py(make) == 0
    assert "built of: new" in said(capsys)


def test_steps_see_the_files_own_modes_and_links(
    build_py: BuildPy, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "run").touch(0o640)
    (folder / "run").chmod(0o640)
    (folder / "link").symlink_to("./no//where")

    assert build_py(f"COPY . /s\nRUN stat -c '%a %n' /s/run && readlink /s/link {NEW}\n") == 0

    shown = said(capsys)
    assert " 640 /s/run" in shown
    assert " ./no//where" in shown


def test_what_is_ignored_or_no_image_holds_is_in_nobodys_way(
    build_py: BuildPy, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / ".dockerignore").write_text("run\n*.big\n")
    (folder / "run").mkdir()
    os.mkfifo(folder / "run" / "pipe")
    os.mkfifo(folder / "pipe")
    (folder / "a.big").write_bytes(b"x" * 100_000)
    (folder / "build").mkdir()
    (folder / "build" / "kept").touch()

    assert build_py(f"COPY . /s\nRUN find /s | sort {NEW}\n") == 0

    shown = said(capsys)
    assert f"{folder}/pipe is a named pipe: it is left out." in shown
    assert re.findall(r"\d (/s.*)", shown)[-3:] == ["/s/Dockerfile", "/s/build", "/s/build/kept"]


def test_the_digest_alone_is_that_of_what_was_pushed(
    build_py: BuildPy, mirror: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = f"build-client/{os.urandom(4).hex()}"
    metadata = tmp_path / "metadata.json"

    assert build_py("", "-q", "-t", f"{mirror}/{name}:1", "--metadata-file", str(metadata)) == 0

    shown = capsys.readouterr()
    digest = shown.out.strip()
    assert shown.err == ""
    assert RegistryClient(mirror).image(name, "1", "amd64").digest == digest
    assert json.loads(metadata.read_text())["containerimage.digest"] == digest


def test_cached_steps_are_counted_as_the_builder_counts(
    build_py: BuildPy, capsys: pytest.CaptureFixture[str]
) -> None:
    dockerfile = f"RUN : {os.urandom(4).hex()}\nRUN : again\nCOPY Dockerfile /\n"
    options = ("--skip-push", "-t", "unused:1")
    assert build_py(dockerfile, *options) == 0
    capsys.readouterr()

    assert build_py(dockerfile, "--json", *options) == 0

    shown = capsys.readouterr()
    hits = json.loads(shown.out)["cacheHits"]
    assert hits == 3
    assert f", {hits} of 3 steps cached" in shown.err


@pytest.fixture
def failing(build_py: BuildPy, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Fail to build this, and return what was printed of it below the log."""

    def fail(dockerfile: str, *options: str) -> str:
        assert build_py(dockerfile, *(options and (*options, "--skip-push", "-t", "unused:1"))) == 1
        return capsys.readouterr().err

    return fail


def test_the_builders_advice_stands_below_the_output(
    failing: Callable[..., str], folder: Path
) -> None:
    (folder / "program").write_bytes(b"\x7fELF of another machine")
    (folder / "program").chmod(0o755)

    shown = failing('COPY program /p\nRUN ["/p"]\n')

    assert "   | exec /p: exec format error" in shown
    assert "or have buildkitd's operator add an emulator" in shown
    assert shown.count("exec format error") == 1


def test_a_killed_step_is_called_killed(failing: Callable[..., str]) -> None:
    shown = failing("RUN sh -c 'kill -9 $$'; exit $?\n")

    assert "failed with exit code 137 (killed, perhaps out of memory)" in shown


def test_a_build_that_takes_too_long_names_its_step(failing: Callable[..., str]) -> None:
    shown = failing("RUN echo begun && sleep 60\n", "--timeout", "4s")

    assert shown.count("The build") == 1
    assert "It was running [2/2] RUN echo begun && sleep 60\n   | begun\n" in shown


def test_warnings_are_repeated_at_the_end(
    build_py: BuildPy, capsys: pytest.CaptureFixture[str]
) -> None:
    assert build_py("CMD echo hello\n") == 0

    _, _, below = capsys.readouterr().out.partition("built, not pushed")
    assert "Warning: " in below
    assert "JSON arguments" in below


def test_what_it_signs_and_requires_signed_is_what_the_builder_checks_and_signs(
    folder: Path,
    start_function: StartFunction,
    shared_daemon: str,
    environ: Mapping[str, str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    (folder / "Dockerfile").write_text(BASE)
    asked = ("--require-signed", "--skip-push", "-t", "unused:1", str(folder))
    with start_function(shared_daemon, request_max_age="5m") as function:
        told = {**environ, "BUILDER_URL": function.url}

        assert main(asked, told) == 0
        assert main(["--json", *asked], told) == 0
        capsys.readouterr()
        assert main(["--detach", "-q", *asked], told) == 0
        build_id = capsys.readouterr().out.strip()
        assert main(["logs", build_id, "--follow", "--require-signed"], told) == 0
        assert main(["result", build_id, "--require-signed"], told) == 0


def test_a_wrong_clock_is_blamed_and_not_the_secret(
    environ: Mapping[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from build_client import operations  # noqa: PLC0415

    class Slow:
        @staticmethod
        def time() -> float:
            return 1_500_000_000.0

    monkeypatch.setattr(operations, "time", Slow)

    assert main(["list"], environ) == 2
    shown = capsys.readouterr().err
    assert re.search(r"clock is \d+ seconds slow by the builder's", shown)
    assert "secret" not in shown
