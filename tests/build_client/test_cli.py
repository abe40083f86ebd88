"""scripts/build.py as its users meet it: against a server that speaks the protocol."""

from __future__ import annotations

import errno
import gzip
import http.server
import io
import json
import os
import pty
import subprocess
import sys
import tarfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from build_client import following
from build_client.cli import main
from build_client.protocol import transport

from function.build_secrets.envelope import SealingKey, open_envelope

from .scripted_builder import (
    SECRET,
    Builder,
    Handler,
    config_of,
    one,
    progress,
    stream,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from .scripted_builder import Reply

    CallAsAProcess = Callable[[str], subprocess.CompletedProcess[bytes]]

SCRIPT = Path(__file__).parents[2] / "scripts" / "build.py"

BUILD_ID = "0123456789abcdef" * 2
LOG = ["#1 [1/2] FROM x", "#1 CACHED", "#2 [2/2] RUN y", "#2 0.1 hello", "#2 DONE 0.2s"]
SUCCESS = {"status": "success", "image": "r/a:1", "log": [], "digest": "sha256:1", "duration": 0.5}
FAILED = {
    "status": "failed",
    "image": "r/a:1",
    "log": [],
    "error": "[2/2] RUN y failed",
    "failedStep": {"name": "[2/2] RUN y", "file": "Dockerfile", "line": 2, "exitCode": 7},
}


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    file = tmp_path / "payload-secret"
    file.write_text(f"{SECRET}\n")
    return file


@pytest.fixture
def call(builder: Builder, handler: Path, secret: Path) -> Callable[..., int]:
    def run(*arguments: str) -> int:
        environ = {"BUILDER_URL": builder.url, "PAYLOAD_SECRET_FILE": str(secret)}
        return main([*asked(handler), *arguments], environ)

    return run


@pytest.fixture
def call_as_a_process(builder: Builder, handler: Path, secret: Path) -> CallAsAProcess:
    """Runs it by a line of shell, in which "$@" is the command."""
    told = {"BUILDER_URL": builder.url, "PAYLOAD_SECRET_FILE": str(secret)}
    command = [sys.executable, "-B", str(SCRIPT), *asked(handler)]
    return lambda line: subprocess.run(
        ["/bin/sh", "-c", line, "sh", *command], capture_output=True, env=told, check=False
    )


def asked(handler: Path) -> list[str]:
    return ["--image", "r/a:1", "--lang", "dockerfile", "--handler", str(handler)]


def test_a_built_image_exits_0_and_shows_the_log(
    builder: Builder, call: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    builder.will(stream(progress(*LOG[:3]), progress(), progress(*LOG[3:]), SUCCESS))

    assert call() == 0

    shown = capsys.readouterr()
    assert "\n".join([*LOG[:2], "", *LOG[2:]]) in shown.out
    assert shown.out.endswith("r/a:1 built and pushed in 0.5s\n   sha256:1\n")
    assert shown.err == ""


def test_posts_a_signed_tar_to_build_below_the_url(
    builder: Builder, call: Callable[..., int]
) -> None:
    builder.will(stream(SUCCESS))

    assert call("--url", f"{builder.url}/function/builder-fn/?failed=200", "--skip-push") == 0

    assert builder.paths == ["/function/builder-fn/build?failed=200"]
    assert config_of(builder.bodies[0]) == {"image": "r/a:1", "skipPush": True}
    assert member(builder.bodies[0], "context/Dockerfile")


@pytest.mark.parametrize("reply", [stream(progress(*LOG), FAILED), one(422, FAILED)])
def test_a_failed_build_exits_1_and_shows_where(
    builder: Builder,
    call: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    reply: Reply,
) -> None:
    builder.will(reply)

    assert call() == 1

    shown = capsys.readouterr().err
    assert "[2/2] RUN y failed with exit code 7\n   Dockerfile:2\n" in shown
    assert "> 2 | RUN y" in shown


def test_a_single_document_is_understood_as_well(
    builder: Builder, call: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    builder.will(one(200, {**SUCCESS, "log": LOG, "logs": LOG}))

    assert call() == 0
    assert capsys.readouterr().out.count("#2 0.1 hello") == 1


@pytest.mark.parametrize("cut", [1, 2, 3, 64])
def test_a_stream_is_read_wherever_its_chunks_are_cut(
    builder: Builder, call: Callable[..., int], capsys: pytest.CaptureFixture[str], cut: int
) -> None:
    builder.will(stream(progress("#1 [1/1] RUN é", "#1 0.1 →"), SUCCESS, cut=cut))

    assert call() == 0
    assert "#1 [1/1] RUN é\n#1 0.1 →\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(stream(progress(*LOG)), id="ended properly, but without a verdict"),
        pytest.param(stream(progress(*LOG), ends=False), id="cut"),
        pytest.param(stream(ends=False), id="cut before it began"),
        pytest.param(stream(progress(*LOG), "not an object"), id="something else"),
    ],
)
def test_a_stream_without_a_verdict_exits_1_and_says_so(
    builder: Builder,
    call: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    reply: Reply,
) -> None:
    builder.will(reply)

    assert call() == 1
    assert capsys.readouterr().err.startswith("build.py: The ")


def test_json_prints_the_result_alone_on_standard_output(
    builder: Builder, call: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    builder.will(stream(progress(*LOG), FAILED))

    assert call("--json") == 1

    shown = capsys.readouterr()
    assert json.loads(shown.out) == FAILED
    assert "#2 0.1 hello" in shown.err


def test_a_busy_builder_is_asked_again_as_often_as_it_is_allowed(
    builder: Builder, call: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    busy = one(429, {"status": "failed", "error": "16 builds are running"}, Retry_After="0")
    down = one(503, {}, Retry_After="Wed, 21 Oct 2015 07:28:00 GMT")
    builder.will(busy, down, stream(SUCCESS))

    assert call() == 0
    assert "asks to try again in 0s. 16 builds are running" in capsys.readouterr().out

    builder.will(busy, busy, busy)
    assert call("--retries", "1") == 2
    assert len(builder.bodies) == 5
    assert "also at a second try" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("reason", "sentence"),
    [
        ("bad_signature", "does not accept the signature"),
        ("too_large", "is too large for the builder"),
        ("bad_config", "cannot build what it was sent. It says: the reason"),
        ("not_found", "No builder answers at"),
    ],
)
def test_a_refusal_inside_a_stream_exits_2_as_well(
    builder: Builder,
    call: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    reason: str,
    sentence: str,
) -> None:
    builder.will(stream({"status": "failed", "log": [], "error": "the reason", "reason": reason}))

    assert call() == 2
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize("reason", ["busy", "not_ready", "buildkitd_unavailable"])
def test_a_builder_that_is_busy_inside_a_stream_is_asked_again(
    builder: Builder, call: Callable[..., int], reason: str
) -> None:
    busy = {"status": "failed", "log": [], "error": "no", "reason": reason, "retryAfter": 0}
    builder.will(stream(busy), stream(progress(), SUCCESS))

    assert call() == 0
    assert len(builder.bodies) == 2


def test_a_build_interrupted_on_its_way_is_a_failed_build(
    builder: Builder, call: Callable[..., int]
) -> None:
    interrupted = {**FAILED, "reason": "interrupted", "retryAfter": 0, "buildId": "b1"}
    builder.will(stream(progress(*LOG), interrupted), stream(interrupted))

    assert call() == 1
    assert call() == 1
    assert len(builder.bodies) == 2


def test_a_broken_stream_is_never_asked_for_again(
    builder: Builder, call: Callable[..., int]
) -> None:
    builder.will(stream(progress(*LOG), ends=False), stream(SUCCESS))

    assert call() == 1
    assert len(builder.bodies) == 1


def of_watchdog(status: int, kind: str = "") -> Reply:
    """Reply as of-watchdog does itself while the function behind it does not listen: with nothing."""

    def reply(handler: Handler) -> None:
        handler.send_response(status)
        if kind:
            handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return reply


STARTING = [
    pytest.param(of_watchdog(200), id="an empty 200"),
    pytest.param(of_watchdog(200, "application/x-ndjson"), id="an empty 200 of lines"),
    pytest.param(of_watchdog(200, "text/event-stream"), id="an empty 200 of events"),
    pytest.param(of_watchdog(200, "application/json"), id="an empty 200 of JSON"),
    pytest.param(stream(), id="an empty stream"),
    pytest.param(of_watchdog(500), id="a bare 500"),
    pytest.param(of_watchdog(500, "text/plain"), id="a 500 of text"),
]


@pytest.fixture
def _without_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "_FIRST_STARTING_WAIT", 0.0)
    monkeypatch.setattr(following, "_PAUSE", 0.0)


@pytest.mark.usefixtures("_without_waits")
@pytest.mark.parametrize("starting", STARTING)
class TestWhileTheFunctionStarts:
    def test_it_is_asked_again_until_it_answers(
        self,
        builder: Builder,
        call: Callable[..., int],
        capsys: pytest.CaptureFixture[str],
        starting: Reply,
    ) -> None:
        builder.will(starting, starting, stream(progress(), SUCCESS))

        assert call() == 0
        assert len(builder.bodies) == 3
        assert capsys.readouterr().out.count("The builder is starting: it is asked again") == 2

    def test_it_is_given_up_in_the_end_and_never_a_success(
        self,
        builder: Builder,
        call: Callable[..., int],
        capsys: pytest.CaptureFixture[str],
        starting: Reply,
    ) -> None:
        builder.will(*[starting] * 9)

        assert call("--retries", "2") == 2
        assert len(builder.bodies) == 3
        said = capsys.readouterr().err
        assert "The builder gives no answer yet, also after 2 more tries" in said

    def test_a_question_is_asked_again_as_well(
        self, builder: Builder, secret: Path, starting: Reply
    ) -> None:
        builder.will(starting, one(200, {"builds": []}))

        environ = {"BUILDER_URL": builder.url, "PAYLOAD_SECRET_FILE": str(secret)}
        assert main(["list"], environ) == 0


@pytest.mark.usefixtures("_without_waits")
@pytest.mark.parametrize("starting", [of_watchdog(200), of_watchdog(500)])
def test_a_builder_that_starts_is_asked_for_its_public_key_again(
    builder: Builder,
    call: Callable[..., int],
    tokens: list[str],
    key: SealingKey,
    starting: Reply,
) -> None:
    builder.will(starting, one(200, {"public_key": key.public_key}), stream(SUCCESS))

    assert call(*tokens) == 0


def test_a_fault_of_the_builders_own_is_told_at_once(
    builder: Builder, call: Callable[..., int]
) -> None:
    builder.will(one(500, {"status": "failed", "error": "no", "reason": "internal"}))

    assert call() == 2
    assert len(builder.bodies) == 1


BEGUN = {"status": "in_progress", "log": LOG[:3], "buildId": BUILD_ID}


@pytest.mark.usefixtures("_without_waits")
class TestCut:
    """A connection that breaks in the middle of a build whose id is known."""

    @pytest.fixture(params=["cut", "ended without a verdict"])
    def broken(self, request: pytest.FixtureRequest) -> Reply:
        return stream(BEGUN, ends=request.param != "cut")

    def test_has_the_builder_asked_once_for_the_result(
        self,
        builder: Builder,
        call: Callable[..., int],
        capsys: pytest.CaptureFixture[str],
        broken: Reply,
    ) -> None:
        builder.will(broken, one(200, {**SUCCESS, "log": LOG, "buildId": BUILD_ID}))

        assert call() == 0

        assert builder.paths == ["/build", "/result"]
        assert json.loads(builder.bodies[1])["buildId"] == BUILD_ID
        shown = capsys.readouterr().out
        assert shown.count("#2 0.1 hello") == 1
        assert f"The builder is asked what became of build {BUILD_ID}." in shown
        assert "r/a:1 built and pushed" in shown

    def test_may_have_failed(
        self, builder: Builder, call: Callable[..., int], broken: Reply
    ) -> None:
        builder.will(broken, one(422, {**FAILED, "buildId": BUILD_ID}))

        assert call() == 1

    def test_may_go_on(
        self,
        builder: Builder,
        call: Callable[..., int],
        capsys: pytest.CaptureFixture[str],
        broken: Reply,
    ) -> None:
        builder.will(broken, one(202, {**BEGUN, "log": []}))

        assert call("--url", builder.url) == 1
        hint = f"`build.py logs {BUILD_ID} --follow --url {builder.url}` waits for its end"
        assert hint in capsys.readouterr().err

    @pytest.mark.parametrize("reply", [one(404, {"error": "no"}), one(503, {}), stream()])
    def test_may_stay_unknown_with_the_way_to_ask(
        self,
        builder: Builder,
        call: Callable[..., int],
        capsys: pytest.CaptureFixture[str],
        broken: Reply,
        reply: Reply,
    ) -> None:
        builder.will(broken, reply)

        assert call() == 1
        assert f"`build.py status {BUILD_ID}` may tell" in capsys.readouterr().err

    def test_is_known_by_its_header_as_well(
        self, builder: Builder, call: Callable[..., int]
    ) -> None:
        def cut(handler: Handler) -> None:
            handler.send_response(200)
            handler.send_header("Content-Type", "application/x-ndjson")
            handler.send_header("X-Build-Id", BUILD_ID)
            handler.send_header("Content-Length", "100")
            handler.end_headers()
            handler.close_connection = True

        builder.will(cut, one(200, {**SUCCESS, "buildId": BUILD_ID}))

        assert call() == 0
        assert json.loads(builder.bodies[1])["buildId"] == BUILD_ID


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (400, "cannot build what it was sent. It says: the reason"),
        (404, "No builder answers at http://127.0.0.1"),
        (405, "No builder answers at http://127.0.0.1"),
        (413, "bytes is too large for the builder"),
        (500, "answered with status 500. It says: the reason"),
        (502, "answered with status 502"),
    ],
)
def test_a_refusal_exits_2_with_a_sentence(
    builder: Builder,
    call: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    status: int,
    sentence: str,
) -> None:
    builder.will(one(status, {"status": "failed", "error": "the reason"}))

    assert call() == 2
    assert sentence in capsys.readouterr().err


def test_a_redirect_names_where_to_go(
    builder: Builder, call: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    builder.will(one(307, {}, Location="https://elsewhere/build"))

    assert call() == 2
    assert "use --url https://elsewhere/build." in capsys.readouterr().err


def test_a_wrong_secret_is_told_and_never_shown(
    call: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("another-secret")

    assert call("--payload-secret", str(wrong)) == 2

    shown = capsys.readouterr()
    assert "does not accept the signature" in shown.err
    assert "another-secret" not in shown.out + shown.err


def test_a_missing_secret_is_asked_for_when_the_builder_wants_one(
    builder: Builder, handler: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(asked(handler), {"BUILDER_URL": builder.url}) == 2
    assert "wants a signed request" in capsys.readouterr().err


def test_a_web_page_is_no_builder(
    builder: Builder, call: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    def page(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "text/html")
        handler.send_header("Content-Length", "6")
        handler.end_headers()
        handler.wfile.write(b"<html>")

    builder.will(page)

    assert call() == 2
    assert "What answered is not a builder" in capsys.readouterr().err


def test_silence_in_the_middle_exits_1(
    builder: Builder, call: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    given_up = threading.Event()

    def silent(handler: Handler) -> None:
        stream(progress(*LOG), ends=False)(handler)
        handler.wfile.flush()
        given_up.wait()

    builder.will(silent)

    try:
        assert call("--idle-timeout", "0.05") == 1
    finally:
        given_up.set()
    assert "fell silent for 0.05 seconds" in capsys.readouterr().err


def test_a_closed_port_exits_2_and_says_what_to_do(
    handler: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        port = server.server_port

    assert main(asked(handler), {"BUILDER_URL": f"http://127.0.0.1:{port}"}) == 2
    assert f"Nothing listens at http://127.0.0.1:{port}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--url", "localhost:8080"], "is no builder URL"),
        (["--url", "http://[::1"], "is no builder URL"),
        (["--url", "http://a b/"], "is no builder URL"),
        (["--url", "http://h/\x1b[2J\u202ex"], '"http://h/[2Jx" is no builder URL'),
        (["--url", f"http://{'é' * 100}/"], "is no builder URL"),
        (["--url", "http://127.0.0.1:99999999999"], "is no builder URL"),
        (["--secret", "id=a,src=/nonexistent"], "The build secret /nonexistent cannot be read"),
        (["--secret", "src=a"], "--secret takes id=NAME,src=FILE"),
        (["--secret", "id=a,src=b,env=c"], "--secret takes id=NAME,src=FILE"),
        (["--secret", "id=a,where=b"], "--secret takes id=NAME,src=FILE"),
        (["--secret", '"id=a'], "--secret takes id=NAME,src=FILE"),
        (["--secret", "id=a,env=UNSET"], "the environment has no UNSET"),
        (["-f", "/nonexistent"], "There is no /nonexistent: check what -f names"),
        (["-f", "/etc/passwd"], "/etc/passwd is outside of"),
        (["--progress", "tty"], "--progress tty needs a terminal"),
        (["--payload-secret", "/nonexistent"], "/nonexistent cannot be read"),
        (["--payload-secret", "/dev/null"], "/dev/null is empty"),
        (["--build-arg", "=x"], "takes NAME=VALUE"),
        (["--build-arg", "UNSET"], "has no UNSET"),
        (["--build-arg", "A=\udcff"], "An option is not UTF-8: "),
        (["--label", "=x"], "--label takes NAME=VALUE"),
        (["--build-secret", "a"], "--build-secret takes NAME=FILE"),
        (["--build-secret", "=a"], "--build-secret takes NAME=FILE"),
        (["--build-secret", "a\udcff=b"], "--build-secret takes NAME=FILE"),
        (["--build-secret", "a=/nonexistent"], "The build secret /nonexistent cannot be read"),
        (
            ["--build-secret", "a=/dev/null", "--builder-public-key", "/nonexistent"],
            "The key /nonexistent cannot be read",
        ),
        (["--dockerfile", "Other"], "There is no Other in"),
        (["--handler", "/nonexistent"], "/nonexistent is not a folder"),
        (["--lang", "go", "--template", "/nonexistent"], "There is no template in /nonexistent"),
    ],
)
def test_a_mistaken_argument_exits_2_with_a_sentence(
    call: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    sentence: str,
) -> None:
    assert call(*arguments) == 2
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--image", "r/a:1"], "say which folder to build"),
        (["--image", "r/a:1", "--lang", "go"], "say which folder to build"),
        (["--image", "r/a:1", "--handler", "x"], "say which template it is for"),
        (["."], "say what to push it as"),
        (["-t", "r/a:1", "--handler", "x", "."], "say one folder"),
        (["-t", "r/a:1", "-"], '"-" is no folder'),
        (
            ["-t", "r/a:1", "https://host/repo.git"],
            "is no folder: builder-fn builds what is on this",
        ),
        (["-t", "r/a:1", ".", "-f", "a", "--dockerfile", "b"], "not allowed with"),
        (["-t", "r/a:1", ".", "--progress", "fancy"], "invalid choice"),
        (["-t", "r/a:1", ".", "--push", "--skip-push"], "not allowed with"),
        (["-t", "r/a:1", ".", "-q", "--json"], "each want standard output"),
        (["-t", "r/a:1", ".", "--skip-push", "--iidfile", "x"], "--iidfile needs a push"),
        (["-t", "r/a:1", ".", "--detach", "--iidfile", "x"], "--iidfile needs the build's end"),
        (
            ["-t", "r/a:1", ".", "--async", "--metadata-file", "x"],
            "--metadata-file needs the build's",
        ),
        (["-t", "r/a:1", ".", "--idle-timeout", "1e300"], "takes a number above 0, and at most"),
        (["-t", "r/a:1", ".", "--retries", "9" * 5000], "takes a whole number"),
        (["-t", "r/a:1", ".", "--detach", "--callback-url", "http://h/\n"], "takes a URL in ASCII"),
    ],
)
def test_what_is_missing_or_too_much_is_a_usage_error(
    capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    with pytest.raises(SystemExit) as exited:
        main(arguments, {"BUILDER_URL": "http://127.0.0.1:1/function/b"})

    assert exited.value.code == 2
    assert sentence in capsys.readouterr().err


def test_every_exit_code_is_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--help"], ["logs", "--help"]):
        with pytest.raises(SystemExit):
            main(arguments, {})
        said = " ".join(capsys.readouterr().out.split())
        assert "2 it could not begin; 130 interrupted (Ctrl-C)" in said


class TestAsDockerBuild:
    """The habits of docker build's users."""

    @pytest.fixture
    def docker(self, builder: Builder, handler: Path, secret: Path) -> Callable[..., int]:
        environ = {
            "BUILDER_URL": builder.url,
            "PAYLOAD_SECRET_FILE": str(secret),
            "TOKEN": "t0ken",
        }
        return lambda *arguments: main([*arguments, str(handler)], environ)

    def test_takes_a_folder_and_a_tag(
        self, builder: Builder, docker: Callable[..., int], handler: Path
    ) -> None:
        (handler / "build").mkdir()
        (handler / "build" / "run.sh").touch()
        builder.will(stream(SUCCESS))

        assert docker("--push", "-t", "r/a:1", "-t", "r/b:2", "--tag", "3") == 0

        config = config_of(builder.bodies[0])
        assert config == {"image": "r/a:1", "tags": ["r/b:2", "3"]}
        assert member(builder.bodies[0], "context/build/run.sh") == b""

    def test_takes_a_dockerfile_from_here(
        self, builder: Builder, docker: Callable[..., int], handler: Path
    ) -> None:
        (handler / "Dockerfile").rename(handler / "Dockerfile.arm")
        builder.will(stream(SUCCESS))

        assert docker("-t", "r/a:1", "-f", str(handler / "Dockerfile.arm")) == 0
        config = config_of(builder.bodies[0])
        assert config["dockerfile"] == "Dockerfile.arm"

    def test_quietly_prints_the_digest_alone(
        self, builder: Builder, docker: Callable[..., int], capsys: pytest.CaptureFixture[str]
    ) -> None:
        builder.will(stream(progress(*LOG), SUCCESS), stream(progress(*LOG), FAILED))

        assert docker("-q", "-t", "r/a:1") == 0
        shown = capsys.readouterr()
        assert (shown.out, shown.err) == ("sha256:1\n", "")
        assert docker("--progress", "quiet", "-t", "r/a:1") == 1
        shown = capsys.readouterr()
        assert shown.out == ""
        assert "[2/2] RUN y failed with exit code 7" in shown.err

    def test_quietly_left_prints_the_id_alone(
        self, builder: Builder, docker: Callable[..., int], capsys: pytest.CaptureFixture[str]
    ) -> None:
        builder.will(one(202, {"status": "in_progress", "buildId": BUILD_ID}))

        assert docker("-q", "--detach", "-t", "r/a:1") == 0
        assert capsys.readouterr().out == f"{BUILD_ID}\n"

    def test_passes_the_builders_documents_on(
        self, builder: Builder, docker: Callable[..., int], capsys: pytest.CaptureFixture[str]
    ) -> None:
        documents = [progress(*LOG), SUCCESS]
        builder.will(stream(*documents))

        assert docker("--progress", "rawjson", "-t", "r/a:1") == 0

        shown = capsys.readouterr()
        assert [json.loads(line) for line in shown.out.splitlines()] == documents
        assert "r/a:1 built and pushed" in shown.err

    def test_writes_what_scripts_read(
        self, builder: Builder, docker: Callable[..., int], tmp_path: Path
    ) -> None:
        digest, metadata = tmp_path / "iid", tmp_path / "metadata.json"
        files = ["--iidfile", str(digest), "--metadata-file", str(metadata)]
        builder.will(stream({**SUCCESS, "buildId": BUILD_ID}), stream(FAILED))

        assert docker("-t", "r/a:1", "-t", "2", "-t", "r/b", *files) == 0
        assert digest.read_text() == "sha256:1"
        assert json.loads(metadata.read_text()) == {
            "containerimage.digest": "sha256:1",
            "image.name": "r/a:1,r/a:2,r/b",
            "buildId": BUILD_ID,
        }
        assert docker("-t", "r/a:1", *files) == 1
        assert not digest.exists()
        assert not metadata.exists()

    def test_writes_to_a_pipe_and_does_not_remove_it(
        self, builder: Builder, docker: Callable[..., int], tmp_path: Path
    ) -> None:
        """As /dev/stdout is one, which a build by root could remove."""
        builder.will(stream(SUCCESS))
        pipe, link = tmp_path / "pipe", tmp_path / "link"
        os.mkfifo(pipe)
        link.symlink_to("/dev/null")
        reading = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)

        assert docker("-t", "r/a:1", "--iidfile", str(pipe), "--metadata-file", str(link)) == 0

        assert os.read(reading, 100) == b"sha256:1"
        os.close(reading)
        assert link.is_symlink()

    def test_a_file_that_cannot_be_written_is_told(
        self, builder: Builder, docker: Callable[..., int], capsys: pytest.CaptureFixture[str]
    ) -> None:
        builder.will(stream(SUCCESS))

        assert docker("-t", "r/a:1", "--iidfile", "/nonexistent/iid") == 2
        said = capsys.readouterr().err
        assert "The image is built, but /nonexistent/iid cannot be written" in said

    def test_seals_secrets_of_files_and_of_the_environment(
        self, builder: Builder, docker: Callable[..., int], tmp_path: Path, key: SealingKey
    ) -> None:
        (tmp_path / "token").write_bytes(b"s3cr3t\n")
        (tmp_path / "key.pub").write_text(key.public_key)
        builder.will(stream(SUCCESS))

        given = (
            f"id=a,src={tmp_path}/token",
            f"type=file,id=b,source={tmp_path}/token",
            "id=c,env=TOKEN",
            "type=env,id=d,src=TOKEN",
            "id=TOKEN",
            f'id=e,"src={tmp_path}/token"',
        )
        secrets = [argument for each in given for argument in ("--secret", each)]
        assert (
            docker("-t", "r/a:1", "--builder-public-key", str(tmp_path / "key.pub"), *secrets) == 0
        )

        sealed = member(builder.bodies[0], "com.openfaas.secrets")
        assert open_envelope(sealed, [key]) == {
            **dict.fromkeys(("a", "b", "e"), b"s3cr3t\n"),
            **dict.fromkeys(("c", "d", "TOKEN"), b"t0ken"),
        }


def test_what_is_left_out_or_leads_out_is_said(
    builder: Builder, call: Callable[..., int], handler: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    os.mkfifo(handler / "pipe")
    (handler / "out").symlink_to("/etc/passwd")
    builder.will(stream(SUCCESS))

    assert call() == 0
    shown = capsys.readouterr().out
    assert f"{handler}/pipe is a named pipe: it is left out." in shown
    assert f"{handler}/out is a link to /etc/passwd, outside of {handler}: it is sent as a" in shown


@pytest.mark.parametrize(
    "environ",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"LC_ALL": "C.UTF-8"},
    ],
    ids=["ascii", "C", "UTF-8"],
)
@pytest.mark.parametrize("arguments", [[], ["--json"], ["--progress", "rawjson"]])
def test_any_log_can_be_printed_in_any_locale(
    builder: Builder, handler: Path, secret: Path, environ: dict[str, str], arguments: list[str]
) -> None:
    os.mkfifo(os.fsencode(handler) + b"/caf\xe9.fifo")
    builder.will(stream(progress("#1 [1/1] RUN é", "#1 0.1 \u2192 \ud800 \u202e"), SUCCESS))
    told = {"BUILDER_URL": builder.url, "PAYLOAD_SECRET_FILE": str(secret)}

    ended = subprocess.run(
        [sys.executable, "-B", str(SCRIPT), *asked(handler), *arguments],
        capture_output=True,
        env={**told, **environ},
        check=False,
    )

    assert (ended.returncode, b"Traceback" in ended.stderr) == (0, False)
    assert rb"caf\xe9.fifo is a named pipe" in ended.stdout + ended.stderr
    assert b"\xe2\x80\xae" not in ended.stdout + ended.stderr


FULL = b"Its output cannot be written: No space left on device."


@pytest.mark.parametrize(
    ("redirected", "code", "words"),
    [
        (">/dev/full", 1, FULL),
        ("--json >/dev/full", 1, FULL),
        (">/dev/full 2>/dev/full", 1, b""),
        (">&-", 0, b""),
        ("2>&-", 0, b""),
        (">&- 2>&-", 0, b""),
        ("--handler /nonexistent 2>/dev/full", 2, b""),
    ],
)
def test_output_that_nothing_can_take_is_no_traceback(
    builder: Builder, call_as_a_process: CallAsAProcess, redirected: str, code: int, words: bytes
) -> None:
    builder.will(stream(progress(*LOG), SUCCESS))

    ended = call_as_a_process(f'exec "$@" {redirected}')

    assert ended.returncode == code
    assert words in ended.stderr
    assert b"Traceback" not in ended.stderr


ABSURD = {
    "duration": 10**400,
    "created": 1e308,
    "cacheHits": -(10**30),
    "image": "r/a:1\x1b[2J\u202e",
    "failedStep": {
        "name": "[1/1] RUN x",
        "line": 10**30,
        "exitCode": 10**30,
        "output": [1, "a\x9b"],
    },
    "warnings": [{"message": "\u202e", "line": 10**400}, 1],
    "steps": [{"stage": 1}, None],
}


@pytest.mark.parametrize("status", ["success", "failed"])
@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_an_absurd_answer_is_shown_as_far_as_it_makes_sense(
    *,
    builder: Builder,
    call: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    status: str,
    arguments: list[str],
) -> None:
    builder.will(stream(progress(*LOG), {**ABSURD, "status": status, "buildId": BUILD_ID}))

    assert call(*arguments) == (0 if status == "success" else 1)
    shown = capsys.readouterr()
    assert not set("\x1b\u202e\x9b") & set(shown.out + shown.err)


@pytest.mark.parametrize(
    "wait",
    ["1e999", "9" * 400, "-1", "Wed, 21 Oct 99999 07:28:00 GMT", "Mon, 01 Jan 0001 00:00:00 -0000"],
)
def test_an_absurd_wait_is_bounded(wait: str) -> None:
    assert 0.0 <= transport._seconds(wait) <= 60.0


@pytest.mark.parametrize("document", [b"[" * 100_000, b'{"a": ' * 100_000, b"1e999", b"9" * 5000])
def test_an_answer_too_deep_to_read_is_no_traceback(
    builder: Builder, call: Callable[..., int], document: bytes
) -> None:
    def reply(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(document)))
        handler.end_headers()
        handler.wfile.write(document)

    builder.will(reply)

    assert call() == 1


def test_no_builder_named_is_a_usage_error(
    handler: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exited:
        main(asked(handler), {})

    assert exited.value.code == 2
    assert "say where the builder is: --url or BUILDER_URL" in capsys.readouterr().err


def test_a_context_without_a_dockerfile_is_not_sent(
    builder: Builder, call: Callable[..., int], handler: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (handler / "Dockerfile").unlink()

    assert call() == 2
    assert "There is no Dockerfile" in capsys.readouterr().err
    assert builder.bodies == []


def test_a_file_that_no_memory_holds_is_named(
    handler: Path, call_as_a_process: CallAsAProcess
) -> None:
    with (handler / "core").open("wb") as file:
        file.truncate(1 << 43)  # a hole

    # Where memory may be promised without bounds, only a limit says no.
    ended = call_as_a_process('ulimit -v 4000000 && exec "$@"')

    assert ended.returncode == 2
    assert b"name in .dockerignore what is not needed; core is the largest" in ended.stderr


def test_tar_writes_what_would_be_sent(
    builder: Builder, call: Callable[..., int], tmp_path: Path
) -> None:
    builder.will(stream(SUCCESS))
    options = ["--build-arg", "A=b=c", "--platform", "linux/amd64, linux/arm64", "--compress"]

    assert call(*options) == 0
    assert call(*options, "--tar", str(tmp_path / "req.tar")) == 0

    sent, written = (
        gzip.decompress(body) for body in (builder.bodies[0], (tmp_path / "req.tar").read_bytes())
    )
    assert config_of(written) == config_of(sent)
    assert config_of(written) == {
        "image": "r/a:1",
        "buildArgs": {"A": "b=c"},
        "platforms": ["linux/amd64", "linux/arm64"],
    }
    context = written.index(b"context/")
    assert written[context:] == sent[context:]


def test_no_request_is_like_another(builder: Builder, call: Callable[..., int]) -> None:
    builder.will(stream(SUCCESS), stream(SUCCESS))

    assert (call(), call()) == (0, 0)

    first, second = builder.bodies
    assert config_of(first) == config_of(second)
    assert first != second


def test_every_option_goes_into_the_config_by_its_key(
    builder: Builder, call: Callable[..., int], handler: Path
) -> None:
    (handler / "Dockerfile").rename(handler / "Dockerfile.arm")
    builder.will(stream(SUCCESS))
    options = ["--tag=2", "--tag=r/b:3", "--label=a=b=c", "--label=d", "--target=test", "--pull"]

    assert call(*options, "--dockerfile=./Dockerfile.arm", "--no-cache", "--timeout=90s") == 0

    assert config_of(builder.bodies[0]) == {
        "image": "r/a:1",
        "tags": ["2", "r/b:3"],
        "labels": {"a": "b=c", "d": ""},
        "target": "test",
        "pull": True,
        "dockerfile": "./Dockerfile.arm",
        "noCache": True,
        "timeout": "90s",
    }


@pytest.mark.parametrize("folder", ["", "function"])
def test_a_context_with_an_options_file_may_name_its_dockerfile_itself(
    builder: Builder, call: Callable[..., int], handler: Path, folder: str
) -> None:
    (handler / "Dockerfile").rename(handler / "Dockerfile.arm")
    (handler / folder).mkdir(exist_ok=True)
    (handler / folder / "builder-fn.json").write_text('{"dockerfile": "Dockerfile.arm"}')
    builder.will(stream(SUCCESS))

    assert call() == 0


@pytest.fixture
def key() -> SealingKey:
    return SealingKey("build-secrets-key", bytes(range(32)))


@pytest.fixture
def tokens(tmp_path: Path) -> list[str]:
    (tmp_path / "token").write_bytes(b"s3cr3t\n")
    (tmp_path / "binary").write_bytes(b"\0\xff")
    return [f"--build-secret=pip.token={tmp_path}/token", f"--build-secret=b={tmp_path}/binary"]


def test_seals_build_secrets_for_the_key_that_the_builder_gives_out(
    builder: Builder, call: Callable[..., int], tokens: list[str], key: SealingKey
) -> None:
    answer = {"key_id": key.key_id, "algorithm": "nacl/box", "public_key": key.public_key}
    builder.will(one(200, answer), stream(SUCCESS))

    assert call("--url", f"{builder.url}/function/builder-fn/", *tokens) == 0

    assert builder.paths == ["/function/builder-fn/publickey", "/function/builder-fn/build"]
    sealed = member(builder.bodies[0], "com.openfaas.secrets")
    assert f'key_id: "{key.key_id}"'.encode() in sealed
    assert open_envelope(sealed, [key]) == {"pip.token": b"s3cr3t\n", "b": b"\0\xff"}


@pytest.mark.parametrize(
    "form",
    [
        pytest.param("{public_key}\n", id="faas-cli's .pub file"),
        pytest.param('{{"public_key": "{public_key}"}}', id="a saved answer of /publickey"),
    ],
)
def test_seals_for_the_key_in_a_file_and_asks_nobody(
    *,
    builder: Builder,
    call: Callable[..., int],
    tmp_path: Path,
    tokens: list[str],
    key: SealingKey,
    form: str,
) -> None:
    (tmp_path / "key.pub").write_text(form.format(public_key=key.public_key))
    builder.will(stream(SUCCESS))

    assert call("--builder-public-key", str(tmp_path / "key.pub"), *tokens) == 0

    assert builder.paths == ["/build"]
    assert open_envelope(member(builder.bodies[0], "com.openfaas.secrets"), [key])["b"] == b"\0\xff"


@pytest.mark.parametrize(
    ("reply", "sentence"),
    [
        (one(503, {"error": "It has no key."}), "cannot build now. It says: It has no key."),
        (one(404, {}), "No builder answers at http://127.0.0.1"),
        (one(200, {"public_key": "YWJj"}), "has no public key of a builder"),
        (one(200, {"algorithm": "age", "public_key": "x"}), "sealed in a way that is not known"),
        (one(200, {"public_key": "A" * 43 + "="}), "is none that could seal anything"),
        (one(200, []), "has no public key of a builder"),
    ],
)
def test_a_builder_without_a_usable_key_is_sent_nothing(
    *,
    builder: Builder,
    call: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    tokens: list[str],
    reply: Reply,
    sentence: str,
) -> None:
    builder.will(reply)

    assert call(*tokens) == 2

    assert sentence in capsys.readouterr().err
    assert builder.bodies == []


def test_without_pynacl_it_says_how_to_get_it(
    *,
    builder: Builder,
    call: Callable[..., int],
    tokens: list[str],
    key: SealingKey,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    builder.will(one(200, {"public_key": key.public_key}))
    monkeypatch.setitem(sys.modules, "nacl.public", None)

    assert call(*tokens) == 2
    assert "`python3 -m pip install PyNaCl`" in capsys.readouterr().err


def test_secrets_to_seal_for_nobody_are_a_usage_error(
    handler: Path, tokens: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exited:
        main([*asked(handler), "--tar", "-", *tokens], {})

    assert exited.value.code == 2
    assert "say what to seal for" in capsys.readouterr().err


def member(body: bytes, name: str) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(body)) as archive:
        file = archive.extractfile(name)
        assert file is not None
        return file.read()


def test_a_terminal_gets_the_live_view(builder: Builder, handler: Path, secret: Path) -> None:
    builder.will(stream(progress(*LOG), SUCCESS))
    environ = {"BUILDER_URL": builder.url, "PAYLOAD_SECRET_FILE": str(secret), "LANG": "C.UTF-8"}
    command = [sys.executable, "-B", str(SCRIPT), *asked(handler)]
    ours, theirs = pty.openpty()

    with os.fdopen(theirs, "wb", buffering=0) as terminal:
        ended = subprocess.run(
            command,
            stdout=terminal,
            stderr=subprocess.PIPE,
            env={**environ, "TERM": "xterm"},
            check=False,
        )
    shown = everything(ours)

    assert (ended.returncode, ended.stderr) == (0, b"")
    assert "\x1b[32m✓\x1b[0m" in shown
    assert "(2/2)" in shown
    assert "#2 0.1 hello" not in shown
    assert "r/a:1" in shown


def everything(terminal: int) -> str:
    """Return what was written to the other, now closed, end."""
    shown = b""
    with os.fdopen(terminal, "rb", buffering=0) as screen:
        try:
            while part := screen.read(4096):
                shown += part
        except OSError as exc:
            if exc.errno != errno.EIO:  # how Linux ends a terminal
                raise
    return shown.decode()
