"""scripts/build.py where it does not wait for the build: queued, left alone, and asked about afterwards."""

from __future__ import annotations

import email.utils
import gzip
import json
import os
import re
import time
from typing import TYPE_CHECKING, Any

import pytest
from build_client import following
from build_client.cli import main
from build_client.display.steps import BEGUN_AGAIN

from function.builds import followed
from function.builds.job import id_of_call
from function.request.question import Question

from .scripted_builder import (
    SECRET,
    config_of,
    last,
    one,
    progress,
    scripted_builder,
    signed,
    stream,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .scripted_builder import Builder, Handler, Reply

    Program = Callable[..., int]

BUILD_ID = "0123456789abcdef" * 2
CALL_ID = "3f0e8a52-call"
LOG = ["#1 [1/2] FROM x", "#1 CACHED", "#2 [2/2] RUN y", "#2 0.1 hello", "#2 DONE 0.2s"]
SUCCESS = {"status": "success", "image": "r/a:1", "buildId": BUILD_ID, "digest": "sha256:1"}
FAILED = {
    "status": "failed",
    "image": "r/a:1",
    "buildId": BUILD_ID,
    "error": "[2/2] RUN y failed",
    "reason": "build_failed",
    "failedStep": {"name": "[2/2] RUN y", "file": "Dockerfile", "line": 2, "exitCode": 7},
}
GOES_ON = {"status": "in_progress", "state": "running", "buildId": BUILD_ID, "image": "r/a:1"}
UNKNOWN = {"status": "failed", "error": f'There is no build "{BUILD_ID}".', "reason": "not_found"}


@pytest.fixture
def ask(builder: Builder, tmp_path: Path) -> Program:
    secret = tmp_path / "payload-secret"
    secret.write_text(f"{SECRET}\n")

    def run(*arguments: str) -> int:
        url = f"{builder.url}/function/builder-fn"
        return main(arguments, {"BUILDER_URL": url, "PAYLOAD_SECRET_FILE": str(secret)})

    return run


@pytest.fixture
def build(ask: Program, handler: Path) -> Program:
    what = ("--image=r/a:1", "--lang=dockerfile", f"--handler={handler}")
    return lambda *options: ask(*what, *options)


@pytest.fixture
def _without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "_PAUSE", 0.0)


def queued(call_id: str = CALL_ID) -> Reply:
    """Reply as the gateway does."""

    def reply(handler: Handler) -> None:
        handler.send_response(202)
        handler.send_header("X-Call-Id", call_id)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return reply


def plain(status: int, text: str) -> Reply:
    def reply(handler: Handler) -> None:
        handler.send_response(status)
        handler.send_header("Content-Type", "text/plain; charset=utf-8")
        handler.send_header("Content-Length", str(len(text)))
        handler.end_headers()
        handler.wfile.write(text.encode())

    return reply


class TestQueued:
    def test_goes_gzipped_to_the_queue_and_says_which_call_and_build_it_is(
        self, builder: Builder, build: Program, capsys: pytest.CaptureFixture[str]
    ) -> None:
        builder.will(queued())

        assert build("--async", "--callback-url", "http://me/done") == 0

        assert builder.paths == ["/async-function/builder-fn/build"]
        assert builder.headers[0]["X-Callback-Url"] == "http://me/done"
        assert config_of(gzip.decompress(builder.bodies[0])) == {"image": "r/a:1"}
        shown = capsys.readouterr().out
        assert f"Queued as call {CALL_ID}\n" in shown
        assert "The result will be posted to http://me/done\n" in shown
        build_id = id_of_call("docker.io/r/a", CALL_ID, signed(builder.bodies[0]))
        assert f"build.py logs {build_id} --follow\n" in shown

    def test_without_a_callback_names_none(
        self, builder: Builder, build: Program, capsys: pytest.CaptureFixture[str]
    ) -> None:
        builder.will(queued())

        assert build("--async", "--json") == 0

        assert "X-Callback-Url" not in builder.headers[0]
        build_id = id_of_call("docker.io/r/a", CALL_ID, signed(builder.bodies[0]))
        assert json.loads(capsys.readouterr().out) == {"callId": CALL_ID, "buildId": build_id}

    def test_too_large_for_the_queue_is_never_sent(
        self,
        builder: Builder,
        build: Program,
        handler: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        (handler / "model.bin").write_bytes(os.urandom(256_000))

        assert build("--async") == 2

        assert builder.bodies == []
        said = capsys.readouterr().err
        assert "takes 256,000 bytes" in said
        assert "model.bin is the largest" in said

    def test_fits_a_queue_that_takes_more(
        self, builder: Builder, build: Program, handler: Path
    ) -> None:
        (handler / "model.bin").write_bytes(os.urandom(256_000))
        builder.will(queued())

        assert build("--async", "--queue-limit", "1000000") == 0

    def test_repeats_what_the_gateway_says_against_it(
        self, builder: Builder, build: Program, capsys: pytest.CaptureFixture[str]
    ) -> None:
        builder.will(plain(500, "Error queuing request: request body too large"))

        assert build("--async") == 2
        assert "It says: Error queuing request: request body too" in capsys.readouterr().err

    def test_seals_for_the_function_since_a_queue_answers_nothing(
        self, builder: Builder, build: Program, tmp_path: Path
    ) -> None:
        (tmp_path / "token").write_text("s3cr3t")
        key = "Nmn8MqaN8GAzo9TNSbkJWRTHTuywc1cYnXBmwhX8p1A="
        builder.will(one(200, {"public_key": key}), queued())
        url = f"{builder.url}/async-function/b"

        assert build("--async", "--url", url, "--build-secret", f"t={tmp_path}/token") == 0
        assert builder.paths == ["/function/b/publickey", "/async-function/b/build"]

    @pytest.mark.usefixtures("_without_pauses")
    def test_can_be_followed_as_soon_as_it_is_delivered(
        self, builder: Builder, build: Program, capsys: pytest.CaptureFixture[str]
    ) -> None:
        not_yet = one(404, UNKNOWN)
        in_stream = stream(UNKNOWN)
        builder.will(queued(), not_yet, in_stream, stream(progress(*LOG), SUCCESS))

        assert build("--async", "--follow") == 0

        assert builder.paths[1:] == ["/function/builder-fn/logs"] * 3
        assert "r/a:1 built and pushed" in capsys.readouterr().out

    @pytest.mark.usefixtures("_without_pauses")
    def test_is_given_up_when_the_queue_never_delivers_it(
        self, builder: Builder, build: Program, capsys: pytest.CaptureFixture[str]
    ) -> None:
        builder.will(queued(), *[one(404, UNKNOWN)] * 1000)

        assert build("--async", "--follow", "--idle-timeout", "0.2") == 1
        assert "has not heard of the build for 0.2 seconds" in capsys.readouterr().err


class TestDetached:
    def test_is_left_with_its_id_and_the_ways_on(
        self, builder: Builder, build: Program, capsys: pytest.CaptureFixture[str]
    ) -> None:
        builder.will(one(202, GOES_ON))

        assert build("--detach", "--callback-url", "http://me/done") == 0

        assert builder.paths == ["/function/builder-fn/build"]
        assert config_of(builder.bodies[0]) == {
            "image": "r/a:1",
            "detach": True,
            "callbackUrl": "http://me/done",
        }
        assert "X-Callback-Url" not in builder.headers[0]
        shown = capsys.readouterr().out
        assert f"The build goes on by itself: {BUILD_ID}\n" in shown
        assert f"build.py result {BUILD_ID}\n" in shown

    def test_keeps_the_rest_of_the_query(self, builder: Builder, build: Program) -> None:
        builder.will(one(202, GOES_ON))

        assert build("--detach", "--json", "--url", f"{builder.url}/?failed=200") == 0
        assert builder.paths == ["/build?failed=200"]

    def test_waits_its_turn_with_a_busy_builder(
        self, builder: Builder, build: Program, capsys: pytest.CaptureFixture[str]
    ) -> None:
        builder.will(one(429, {"error": "full"}, Retry_After="0"), one(202, GOES_ON))

        assert build("--detach", "--json") == 0
        assert json.loads(capsys.readouterr().out) == GOES_ON

    def test_names_the_ways_on_with_what_was_given(
        self,
        builder: Builder,
        build: Program,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        url, file = f"{builder.url}/function/other", f"{tmp_path}/payload-secret"
        given = ("--url", url, "--payload-secret", file)
        queue = url.replace("/function/", "/async-function/")
        builder.will(one(202, GOES_ON), queued(), one(202, GOES_ON), stream(GOES_ON, ends=False))

        assert build("--detach", *given) == 0
        assert build("--async", "--url", queue, *given[2:]) == 0
        assert build("--detach", "--follow", "--retries", "0", *given) == 1

        said = " ".join(given)
        shown = capsys.readouterr()
        for ways_on in shown.out.split("Queued as call")[:2]:
            lines = [line for line in ways_on.splitlines() if "build.py " in line]
            assert len(lines) == 3
            assert all(line.endswith(said) for line in lines)
        assert f"`build.py status {BUILD_ID} {said}` says" in shown.err

    def test_of_which_the_answer_is_cut_is_known_by_its_header(
        self, builder: Builder, build: Program, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def cut(handler: Handler) -> None:
            handler.send_response(202)
            handler.send_header("Content-Type", "application/json")
            handler.send_header("X-Build-Id", BUILD_ID)
            handler.send_header("Content-Length", "100")
            handler.end_headers()
            handler.wfile.write(b'{"status": ')
            handler.close_connection = True

        builder.will(cut)

        assert build("--detach") == 1
        assert f"`build.py status {BUILD_ID}` says what" in capsys.readouterr().err

    def test_without_an_id_is_as_good_as_lost(self, builder: Builder, build: Program) -> None:
        builder.will(one(202, {"status": "in_progress"}))

        assert build("--detach") == 1

    def test_may_be_followed_to_the_line_that_failed(
        self, builder: Builder, build: Program, capsys: pytest.CaptureFixture[str]
    ) -> None:
        builder.will(one(202, GOES_ON), stream(progress(*LOG), FAILED))

        assert build("--detach", "--follow") == 1
        assert "> 2 | RUN y" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [["status"], ["logs", "--offset", "3"], ["result"], ["cancel"]], ids=lambda a: a[0]
)
def test_a_question_is_a_signed_and_timed_document(
    builder: Builder, ask: Program, arguments: list[str]
) -> None:
    operation, *options = arguments
    builder.will(one(200, {**SUCCESS, "log": []}))

    assert ask(operation, BUILD_ID, *options) == 0

    assert builder.paths == [f"/function/builder-fn/{operation}"]
    asked = Question.parse(builder.bodies[0], operation, now=time.time(), max_age=60)
    assert (asked.build_id, asked.offset) == (BUILD_ID, 3 if options else 0)


def test_a_list_is_as_long_as_was_asked_for(builder: Builder, ask: Program) -> None:
    builder.will(one(200, {"builds": []}))

    assert ask("list", "--limit", "7") == 0
    assert Question.parse(builder.bodies[0], "list", now=time.time(), max_age=60).limit == 7


@pytest.mark.parametrize(
    ("state", "code"),
    [
        ("queued", 0),
        ("running", 0),
        ("success", 0),
        ("failed", 1),
        ("cancelled", 1),
        ("interrupted", 1),
    ],
)
def test_the_status_of_a_build_that_came_to_nothing_exits_1(
    builder: Builder, ask: Program, capsys: pytest.CaptureFixture[str], state: str, code: int
) -> None:
    builder.will(one(200, {**GOES_ON, "state": state, "duration": 2.5, "error": "it\nis so"}))

    assert ask("status", BUILD_ID) == code
    shown = capsys.readouterr().out
    assert shown.split() == [BUILD_ID, state, "2.5s", "r/a:1", "it"]


def test_builds_are_listed_one_a_line(
    builder: Builder, ask: Program, capsys: pytest.CaptureFixture[str]
) -> None:
    done = {**SUCCESS, "state": "success", "created": time.time(), "duration": 61}
    builder.will(one(200, {"builds": [GOES_ON, done]}))

    assert ask("list") == 0

    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith(f"{BUILD_ID}  running  ")
    assert second.startswith(f"{BUILD_ID}  success  ")
    assert second.split()[-2:] == ["1m01s", "r/a:1"]


def test_a_build_that_is_asked_to_end_may_go_on_for_a_moment(
    builder: Builder, ask: Program, capsys: pytest.CaptureFixture[str]
) -> None:
    builder.will(one(202, GOES_ON), one(200, {**GOES_ON, "state": "cancelled"}))

    assert (ask("cancel", BUILD_ID), ask("cancel", BUILD_ID)) == (0, 0)
    first, second = capsys.readouterr().out.splitlines()
    assert first == "The build has been asked to end."
    assert second.split() == [BUILD_ID, "cancelled", "r/a:1"]


def test_a_log_is_shown_without_what_would_drive_the_terminal(
    builder: Builder, ask: Program, capsys: pytest.CaptureFixture[str]
) -> None:
    builder.will(one(200, {**GOES_ON, "log": ["#1 0.1 \x1b[1mbold", "#1 0.2 b"]}))

    assert ask("logs", BUILD_ID) == 0
    assert capsys.readouterr().out == "#1 0.1 bold\n#1 0.2 b\n"


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (one(200, {**SUCCESS, "log": LOG}), 0),
        (one(422, {**FAILED, "log": LOG}), 1),
        (one(503, {**FAILED, "reason": "interrupted"}, Retry_After="0", X_Build_Id=BUILD_ID), 1),
        (one(202, GOES_ON), 2),
        (one(404, UNKNOWN), 2),
    ],
    ids=["built", "failed", "interrupted", "goes on", "unknown"],
)
def test_a_result_exits_as_the_build_would_have(
    builder: Builder, ask: Program, reply: Reply, code: int
) -> None:
    builder.will(reply)

    assert ask("result", BUILD_ID) == code


def test_json_is_the_answer_as_it_came(
    builder: Builder, ask: Program, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments in (["status", BUILD_ID], ["list"], ["cancel", BUILD_ID]):
        builder.will(one(200, GOES_ON))

        assert ask(*arguments, "--json") == 0
        assert json.loads(capsys.readouterr().out) == GOES_ON


@pytest.mark.parametrize(
    "arguments",
    [["list"], ["list", "--json"], ["status", BUILD_ID], ["status", BUILD_ID, "--json"]],
)
def test_what_others_named_their_builds_cannot_drive_the_terminal(
    builder: Builder, ask: Program, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    nasty = "r/a\x1b[2J\x9b31m\u202etxt\u2066\u2028\x7f\ud800"
    build = {
        **GOES_ON,
        "image": nasty,
        "error": nasty,
        "created": 10**400,
        "duration": 1e308,
        "state": nasty,
    }
    builder.will(one(200, {**build, "builds": [build]}))

    assert ask(*arguments) == 0

    shown = capsys.readouterr().out
    assert not set("\x1b\x9b\u202e\u2066\u2028\x7f") & set(shown)
    assert "r/a" in shown
    if "--json" in arguments:
        assert json.loads(shown)["image"] == nasty


class TestClock:
    """A clock that is wrong makes old signatures; the secret has nothing to do with it."""

    AGO = "The request was signed 400 s ago, and 300 s are the most: sign it when it is sent."
    SLOW = "clock is 400 seconds slow by the builder's"

    @pytest.mark.parametrize(
        "reply",
        [
            one(401, {"status": "failed", "error": AGO, "reason": "bad_signature"}),
            stream({"status": "failed", "error": AGO, "reason": "bad_signature"}),
        ],
    )
    def test_is_blamed_by_what_the_builder_says(
        self, builder: Builder, ask: Program, capsys: pytest.CaptureFixture[str], reply: Reply
    ) -> None:
        builder.will(reply)

        assert ask("logs", BUILD_ID, "--follow") == 2
        said = capsys.readouterr().err
        assert self.SLOW in said
        assert "secret" not in said

    def test_that_is_fast_is_told_as_such(
        self, builder: Builder, ask: Program, capsys: pytest.CaptureFixture[str]
    ) -> None:
        builder.will(one(401, {"error": self.AGO.replace("ago", "from now")}))

        assert ask("list") == 2
        assert "clock is 400 seconds fast" in capsys.readouterr().err

    def test_is_blamed_by_the_date_of_the_answer(
        self, builder: Builder, ask: Program, capsys: pytest.CaptureFixture[str]
    ) -> None:
        date = email.utils.formatdate(time.time() + 4000, usegmt=True)

        def reply(handler: Handler) -> None:
            handler.send_response_only(401)
            handler.send_header("Date", date)
            handler.send_header("Content-Length", "0")
            handler.end_headers()

        builder.will(reply)

        assert ask("status", BUILD_ID) == 2
        said = re.search(r"clock is (\d+) seconds slow", capsys.readouterr().err)
        assert said
        assert 3990 < int(said[1]) <= 4000

    def test_is_not_blamed_for_a_wrong_secret(
        self, builder: Builder, ask: Program, capsys: pytest.CaptureFixture[str]
    ) -> None:
        builder.will(one(401, {"error": "signature mismatch"}))

        assert ask("status", BUILD_ID) == 2
        assert "check that --payload-secret holds its payload secret" in capsys.readouterr().err


def test_a_question_that_is_not_understood_is_told_in_the_builders_words(
    builder: Builder, ask: Program, capsys: pytest.CaptureFixture[str]
) -> None:
    builder.will(one(400, {"status": "failed", "error": '"buildId" must be hexadecimal.'}))

    assert ask("status", "x") == 2
    said = capsys.readouterr().err
    assert 'does not understand what it was asked. It says: "buildId" must be' in said


def test_the_builder_says_in_these_words_that_a_build_begins_again() -> None:
    assert f"WARN: {followed.BEGUN_AGAIN}" == BEGUN_AGAIN


@pytest.mark.usefixtures("_without_pauses")
class TestFollowed:
    def test_a_log_that_breaks_off_goes_on_where_it_was(
        self, builder: Builder, ask: Program, capsys: pytest.CaptureFixture[str]
    ) -> None:
        cut = stream(progress(*LOG[:2]), progress(LOG[2]), ends=False)
        again = stream(progress(LOG[0]), progress(*LOG[1:4]), ends=False)
        builder.will(cut, again, stream(progress(*LOG), SUCCESS))

        assert ask("logs", BUILD_ID, "--follow", "--offset", "4", "--retries", "1") == 0

        shown = capsys.readouterr().out.splitlines()
        assert [line for line in shown if line.startswith("#")] == LOG
        assert [json.loads(body)["offset"] for body in builder.bodies] == [4, 4, 4]

    def test_a_log_that_begins_again_on_another_daemon_is_shown_whole(
        self, builder: Builder, ask: Program, capsys: pytest.CaptureFixture[str]
    ) -> None:
        lost = "#9 of the daemon that was lost"
        first = stream(progress(lost, lost), ends=False)
        # It goes on behind what was shown, and begins again before it comes there.
        second = stream(progress(lost, BEGUN_AGAIN, LOG[0]), progress(LOG[1]), ends=False)
        builder.will(first, second, stream(progress(*LOG), SUCCESS))

        assert ask("logs", BUILD_ID, "--follow", "--offset", "1", "--retries", "1") == 0

        shown = capsys.readouterr().out.splitlines()
        said = [line for line in shown if line.startswith(("#", "WARN"))]
        assert said == [lost, lost, BEGUN_AGAIN, *LOG]
        assert [json.loads(body).get("offset", 0) for body in builder.bodies] == [1, 1, 0]

    def test_a_log_that_never_comes_is_given_up(
        self, builder: Builder, ask: Program, capsys: pytest.CaptureFixture[str]
    ) -> None:
        builder.will(*[stream(progress(), ends=False)] * 4)

        assert ask("logs", BUILD_ID, "--follow", "--retries", "2") == 1

        assert len(builder.bodies) == 3
        said = capsys.readouterr().err
        assert f"cannot be taken up again: `build.py status {BUILD_ID}` says" in said

    def test_asks_the_gateway_for_lines_as_they_come(self, builder: Builder, ask: Program) -> None:
        builder.will(stream(SUCCESS), stream(SUCCESS))

        assert ask("logs", BUILD_ID, "--follow") == 0
        assert ask("logs", BUILD_ID, "--follow", "--url", builder.url) == 0
        assert [headers["Accept"] for headers in builder.headers] == [
            "text/event-stream;q=0.5, application/x-ndjson",
            "application/x-ndjson",
        ]

    def test_a_build_nobody_knows_is_not_waited_for(self, builder: Builder, ask: Program) -> None:
        builder.will(one(404, UNKNOWN))

        assert ask("logs", BUILD_ID, "--follow") == 2

    def test_a_closed_port_is_told_at_once(self, builder: Builder, ask: Program) -> None:
        with scripted_builder() as gone:
            pass

        assert ask("logs", BUILD_ID, "--follow", "--url", gone.url) == 2
        assert builder.bodies == []


def test_an_answer_that_the_builder_signed_is_believed_and_no_other(
    builder: Builder, ask: Program, build: Program, capsys: pytest.CaptureFixture[str]
) -> None:
    right = signed(json.dumps(SUCCESS, indent=2).encode())
    honest = one(200, SUCCESS, X_Build_Result_Signature=right)
    forged = one(200, {**SUCCESS, "digest": "sha256:2"}, X_Build_Result_Signature=right)
    builder.will(honest, honest, forged, forged)

    assert (ask("result", BUILD_ID), build()) == (0, 0)
    capsys.readouterr()
    assert (ask("result", BUILD_ID), build()) == (1, 1)
    shown = capsys.readouterr()
    assert shown.err.count("is not what the builder signed") == 2
    assert "sha256:2" not in shown.out


def test_the_last_line_of_a_stream_is_believed_as_it_was_signed_and_not_otherwise(
    builder: Builder, build: Program, capsys: pytest.CaptureFixture[str]
) -> None:
    document = {**SUCCESS, "image": "r/é:1"}
    honest = stream(progress(*LOG), last(document))
    forged = stream(progress(*LOG), {**last(document), "digest": "sha256:2"})
    builder.will(honest, honest, forged)

    assert build("--require-signed") == 0
    assert build() == 0
    capsys.readouterr()
    assert build() == 1
    shown = capsys.readouterr()
    assert "is not what the builder signed" in shown.err
    assert "sha256:2" not in shown.out


@pytest.mark.parametrize(
    "reply", [stream(progress(*LOG), SUCCESS), one(200, SUCCESS), stream(progress(*LOG), FAILED)]
)
def test_with_require_signed_no_other_answer_is_believed(
    builder: Builder, build: Program, capsys: pytest.CaptureFixture[str], reply: Reply
) -> None:
    builder.will(reply)

    assert build("--require-signed") == 1
    shown = capsys.readouterr()
    assert "The answer is not signed" in shown.err
    assert "sha256:1" not in shown.out


def test_with_require_signed_nor_is_an_answer_about_builds(
    builder: Builder, ask: Program, capsys: pytest.CaptureFixture[str]
) -> None:
    builder.will(
        one(200, SUCCESS),
        one(200, SUCCESS, X_Build_Result_Signature=signed(json.dumps(SUCCESS, indent=2).encode())),
    )

    assert ask("status", BUILD_ID, "--require-signed") == 1
    assert "The answer is not signed" in capsys.readouterr().err
    assert ask("status", BUILD_ID, "--require-signed") == 0


class TestPublicKey:
    """The key that build secrets are sealed for."""

    KEY = "Nmn8MqaN8GAzo9TNSbkJWRTHTuywc1cYnXBmwhX8p1A="

    @pytest.fixture
    def seal(self, build: Program, tmp_path: Path) -> Program:
        (tmp_path / "token").write_text("s3cr3t")
        return lambda *options: build("--build-secret", f"t={tmp_path}/token", *options)

    def answer(self, *, nonce: str = "", honest: bool = True) -> Reply:
        """Answer as the builder does a signed question."""

        def reply(handler: Handler) -> None:
            asked = handler.headers["X-Build-Request"]
            assert handler.headers["X-Build-Signature"] == signed(asked.encode())
            question = Question.parse(asked.encode(), "publickey", now=time.time(), max_age=60)
            document = {"nonce": nonce or question.nonce, "public_key": TestPublicKey.KEY}
            text = json.dumps(document, indent=2).encode()
            one(200, document, X_Build_Result_Signature=signed(text if honest else b"other"))(
                handler
            )

        return reply

    def test_is_asked_for_by_a_signed_question_and_believed_as_signed(
        self, builder: Builder, seal: Program
    ) -> None:
        builder.will(self.answer(), stream(last(SUCCESS)))

        assert seal("--require-signed") == 0

    @pytest.mark.parametrize("wrong", [{"nonce": "0" * 32}, {"honest": False}])
    def test_that_another_answer_had_or_nobody_signed_is_not_used(
        self, builder: Builder, seal: Program, wrong: dict[str, Any]
    ) -> None:
        builder.will(self.answer(**wrong))

        assert seal() == 1
        assert builder.bodies == []

    def test_without_a_signature_is_used_unless_one_is_required(
        self, builder: Builder, seal: Program, capsys: pytest.CaptureFixture[str]
    ) -> None:
        unsigned = one(200, {"public_key": self.KEY})
        builder.will(unsigned, stream(SUCCESS), unsigned)

        assert seal() == 0
        capsys.readouterr()
        assert seal("--require-signed") == 1
        assert "The answer is not signed" in capsys.readouterr().err


def test_to_require_signatures_needs_the_key(
    handler: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(
            ["-t", "r/a:1", "--require-signed", str(handler)], {"BUILDER_URL": "http://127.0.0.1:1"}
        )
    assert "--require-signed needs the key" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--async", "--url", "http://127.0.0.1:1"], "--async needs the gateway"),
        (["--url", "http://g/async-function/b"], "say --async, or use --url http://g/function/b"),
        (["--detach", "--url", "http://g/async-function/b"], "is the address of a queue"),
    ],
)
def test_an_address_that_will_not_do_is_told_before_anything_is_read(
    build: Program, capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    assert build(*arguments, "--handler", "/nonexistent") == 2
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--async", "--detach"], "not allowed with"),
        (["--callback-url", "http://me"], "--callback-url needs --async or --detach"),
        (["--follow"], "--follow needs --async or --detach"),
        (["--async", "--queue-limit", "1M"], "takes a whole number"),
    ],
)
def test_options_that_do_not_go_together_are_a_usage_error(
    build: Program, capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    with pytest.raises(SystemExit) as exited:
        build(*arguments)

    assert exited.value.code == 2
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["status"], ["list", BUILD_ID], ["logs", "a", "b"]])
def test_a_question_about_no_build_or_too_many_is_a_usage_error(
    ask: Program, arguments: list[str]
) -> None:
    with pytest.raises(SystemExit) as exited:
        ask(*arguments)

    assert exited.value.code == 2
