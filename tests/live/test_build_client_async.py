"""scripts/build.py where nobody has to wait: through the real queue, and asking about builds it has left."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from build_client.cli import main

from .caller import SECRET, signature
from .commands import wait_for_state
from .gate import Gate
from .test_building import running

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .callbacks import Receiver
    from .conftest import StartOpenFaaS

    BuildPy = Callable[..., int]

SCRIPT = Path(__file__).parents[2] / "scripts" / "build.py"
BROKEN_OFF = "The log broke off; the build goes on, and so does its log:"
QUEUE_LIMIT_BYTES = 256_000
BUILD_ID = re.compile(r"build\.py logs ([0-9a-f]{32}) --follow")


@pytest.fixture
def handler(tmp_path: Path) -> Path:
    folder = tmp_path / "handler"
    folder.mkdir()
    return folder


@pytest.fixture
def environ(tmp_path: Path, gateway: str) -> Mapping[str, str]:
    secret = tmp_path / "payload-secret"
    secret.write_bytes(SECRET)
    return {"BUILDER_URL": f"{gateway}/function/builder-fn", "PAYLOAD_SECRET_FILE": str(secret)}


@pytest.fixture
def build_py(handler: Path, environ: Mapping[str, str]) -> BuildPy:
    """Build what runs *command*, with these options."""

    def build(command: str, *options: str) -> int:
        dockerfile = running(command).files["Dockerfile"]
        assert isinstance(dockerfile, str)
        (handler / "Dockerfile").write_text(dockerfile)
        what = ["--image=unused:1", "--lang=dockerfile", f"--handler={handler}", "--skip-push"]
        return main([*what, *options], environ)

    return build


@pytest.fixture
def ask(environ: Mapping[str, str]) -> BuildPy:
    return lambda *arguments: main([*arguments], environ)


def shown_id(capsys: pytest.CaptureFixture[str]) -> str:
    """Return the id of the build that has just been left."""
    shown = BUILD_ID.search(capsys.readouterr().out)
    assert shown
    return shown[1]


def test_a_queued_build_is_called_back_under_the_call_that_was_printed(
    build_py: BuildPy, callbacks: Receiver, capsys: pytest.CaptureFixture[str]
) -> None:
    assert build_py("true", "--async", "--callback-url", callbacks.url, "--json") == 0

    told = json.loads(capsys.readouterr().out)
    received = callbacks.next()
    assert received.document["status"] == "success"
    assert received.headers["X-Call-Id"] == told["callId"]
    assert received.document["buildId"] == told["buildId"]
    assert received.headers["X-Build-Result-Signature"] == signature(received.body)


def test_a_queued_build_can_be_followed(
    build_py: BuildPy, capsys: pytest.CaptureFixture[str]
) -> None:
    assert build_py("echo he''llo", "--async", "--follow") == 0

    shown = capsys.readouterr().out
    assert re.search(r"^#\d+ \d\.\d+ hello$", shown, re.MULTILINE)
    assert "unused:1 built, not pushed" in shown


def test_the_queues_own_address_is_taken_as_it_is(
    build_py: BuildPy, environ: Mapping[str, str], callbacks: Receiver
) -> None:
    url = environ["BUILDER_URL"].replace("/function/", "/async-function/")

    assert build_py("exit 3", "--async", "--url", url, "--callback-url", callbacks.url) == 0
    assert callbacks.next().document["status"] == "failed"


def test_what_just_fits_is_taken_and_what_does_not_is_told_unsent(
    build_py: BuildPy, handler: Path, callbacks: Receiver, capsys: pytest.CaptureFixture[str]
) -> None:
    queued = ["--async", "--callback-url", callbacks.url]
    padding = handler / "padding"
    padding.write_bytes(os.urandom(QUEUE_LIMIT_BYTES))

    assert build_py("true", *queued) == 2
    said = re.search(r"gzipped ([\d,]+)", capsys.readouterr().err)
    assert said
    over = int(said[1].replace(",", "")) - QUEUE_LIMIT_BYTES
    # What is random takes its own size, and some bytes that vary with it.
    padding.write_bytes(os.urandom(QUEUE_LIMIT_BYTES - over - 100))
    assert build_py("true", *queued) == 0
    assert callbacks.next().document["status"] == "success"


def test_a_queue_that_takes_less_than_was_said_is_quoted(
    build_py: BuildPy, handler: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (handler / "padding").write_bytes(os.urandom(QUEUE_LIMIT_BYTES))

    assert build_py("true", "--async", "--queue-limit", "1000000") == 2
    assert "maximum: 256000 bytes" in capsys.readouterr().err


def test_lines_come_through_the_gateway_while_the_build_runs(
    build_py: BuildPy, capsys: pytest.CaptureFixture[str]
) -> None:
    assert build_py("echo he''llo") == 0
    assert re.search(r"^#\d+ \d\.\d+ hello$", capsys.readouterr().out, re.MULTILINE)


def test_a_build_that_was_left_is_asked_about_until_its_end(
    builder: str, build_py: BuildPy, ask: BuildPy, capsys: pytest.CaptureFixture[str]
) -> None:
    with Gate() as gate:
        assert build_py(gate.command, "--detach") == 0
        build_id = shown_id(capsys)
        wait_for_state(builder, build_id, "running")

        assert ask("status", build_id) == 0
        assert re.match(rf"{build_id}  running .* unused:1$", capsys.readouterr().out)
        assert ask("result", build_id) == 2
        assert "has no result yet" in capsys.readouterr().err
        gate.open()
        assert ask("logs", build_id, "--follow") == 0

    shown = capsys.readouterr().out
    assert "unused:1 built, not pushed" in shown
    assert ask("logs", build_id) == 0
    log = capsys.readouterr().out.splitlines()
    assert any(line.endswith(" arrived") for line in log)
    assert ask("logs", build_id, "--offset", "2") == 0
    assert capsys.readouterr().out.splitlines() == log[2:]
    assert ask("result", build_id, "--json") == 0
    assert json.loads(capsys.readouterr().out)["buildId"] == build_id
    assert ask("list", "--limit", "1000") == 0
    assert f"{build_id}  success " in capsys.readouterr().out


def test_a_build_that_was_left_may_be_followed_at_once(
    build_py: BuildPy, capsys: pytest.CaptureFixture[str]
) -> None:
    assert build_py("exit 3", "--detach", "--follow") == 1

    shown = capsys.readouterr().err
    assert "failed with exit code 3" in shown
    assert "> 3 | RUN exit 3" in shown


def test_a_cancelled_build_has_come_to_nothing(
    builder: str, build_py: BuildPy, ask: BuildPy, capsys: pytest.CaptureFixture[str]
) -> None:
    with Gate() as gate:
        assert build_py(gate.command, "--detach") == 0
        build_id = shown_id(capsys)
        wait_for_state(builder, build_id, "running")
        assert ask("cancel", build_id) == 0
        wait_for_state(builder, build_id, "cancelled")

    assert ask("status", build_id) == 1
    assert f"{build_id}  cancelled " in capsys.readouterr().out
    assert ask("result", build_id) == 1


def test_a_build_nobody_knows_is_told_as_such(
    ask: BuildPy, capsys: pytest.CaptureFixture[str]
) -> None:
    for operation in ("status", "logs", "result", "cancel"):
        assert ask(operation, "0" * 32) == 2
        assert 'There is no build "0000' in capsys.readouterr().err


def test_a_log_is_taken_up_where_the_gateway_cut_it(
    builder: str,
    start_openfaas: StartOpenFaaS,
    build_py: BuildPy,
    environ: Mapping[str, str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    own = start_openfaas(gateway_settings={"upstream_timeout": "1s"})
    own.register("builder-fn", [builder])
    with Gate() as gate:
        assert build_py(gate.command, "--detach") == 0
        build_id = shown_id(capsys)
        wait_for_state(builder, build_id, "running")
        command = [sys.executable, "-B", str(SCRIPT), "logs", build_id, "--follow"]
        following = subprocess.Popen(
            command,
            env={**environ, "BUILDER_URL": f"{own.url}/function/builder-fn"},
            stdout=subprocess.PIPE,
            text=True,
        )
        with following:
            assert following.stdout
            log = list(iter(following.stdout.readline, f"{BROKEN_OFF}\n"))
            gate.open()
            log += following.stdout

    assert following.returncode == 0
    assert sum(line.endswith(" arrived\n") for line in log) == 1
    assert "unused:1 built, not pushed" in log[-1]
