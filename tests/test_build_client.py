"""scripts/build.py as its users meet it: against a server that speaks the protocol."""

from __future__ import annotations

import errno
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
from build_client.cli import main

from function.build_secrets.envelope import SealingKey, open_envelope

from .scripted_builder import SECRET, Builder, Handler, one, progress, scripted_builder, stream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .scripted_builder import Reply

SCRIPT = Path(__file__).parent.parent / "scripts" / "build.py"

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
def builder() -> Iterator[Builder]:
    with scripted_builder() as serving:
        yield serving


@pytest.fixture
def handler(tmp_path: Path) -> Path:
    folder = tmp_path / "hello"
    folder.mkdir()
    (folder / "Dockerfile").write_text("FROM x\nRUN y\n")
    return folder


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


def asked(handler: Path) -> list[str]:
    return ["--image", "r/a:1", "--lang", "dockerfile", "--handler", str(handler)]


def test_a_built_image_exits_0_and_shows_the_log(
    builder: Builder, call: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    builder.will(stream(progress(*LOG[:3]), progress(), progress(*LOG[3:]), SUCCESS))

    assert call() == 0

    shown = capsys.readouterr()
    assert "\n".join(LOG) in shown.out
    assert shown.out.endswith("r/a:1 built and pushed in 0.5s, 1 of 2 steps cached\n   sha256:1\n")
    assert shown.err == ""


def test_posts_a_signed_tar_to_build_below_the_url(
    builder: Builder, call: Callable[..., int]
) -> None:
    builder.will(stream(SUCCESS))

    assert call("--url", f"{builder.url}/function/builder-fn/?failed=200", "--skip-push") == 0

    assert builder.paths == ["/function/builder-fn/build?failed=200"]
    with tarfile.open(fileobj=io.BytesIO(builder.bodies[0])) as archive:
        config = archive.extractfile("com.openfaas.docker.config")
        assert config is not None
        assert json.load(config) == {"image": "r/a:1", "skipPush": True}
        assert "context/Dockerfile" in archive.getnames()


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
        pytest.param(stream(), id="nothing at all"),
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
        handler.send_header("Content-Length", "0")
        handler.end_headers()

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


def test_tar_writes_what_would_be_sent(
    builder: Builder, call: Callable[..., int], tmp_path: Path
) -> None:
    builder.will(stream(SUCCESS))
    options = ["--build-arg", "A=b=c", "--platform", "linux/amd64, linux/arm64", "--compress"]

    assert call(*options) == 0
    assert call(*options, "--tar", str(tmp_path / "req.tar")) == 0

    assert (tmp_path / "req.tar").read_bytes() == builder.bodies[0]
    with tarfile.open(tmp_path / "req.tar", "r:gz") as archive:
        config = archive.extractfile("com.openfaas.docker.config")
        assert config is not None
        assert json.load(config) == {
            "image": "r/a:1",
            "buildArgs": {"A": "b=c"},
            "platforms": ["linux/amd64", "linux/arm64"],
        }


def test_every_option_goes_into_the_config_by_its_key(
    builder: Builder, call: Callable[..., int], handler: Path
) -> None:
    (handler / "Dockerfile").rename(handler / "Dockerfile.arm")
    builder.will(stream(SUCCESS))
    options = ["--tag=2", "--tag=r/b:3", "--label=a=b=c", "--label=d", "--target=test", "--pull"]

    assert call(*options, "--dockerfile=./Dockerfile.arm", "--no-cache", "--timeout=90s") == 0

    assert json.loads(member(builder.bodies[0], "com.openfaas.docker.config")) == {
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
    assert "#2 0.1 hello" not in shown
    assert "r/a:1" in shown


def everything(terminal: int) -> str:
    """What was written to the other, now closed, end."""
    shown = b""
    with os.fdopen(terminal, "rb", buffering=0) as screen:
        try:
            while part := screen.read(4096):
                shown += part
        except OSError as exc:
            if exc.errno != errno.EIO:  # how Linux ends a terminal
                raise
    return shown.decode()
