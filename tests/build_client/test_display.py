"""The display of scripts/build.py: log lines to steps, steps to a frame, a result to a summary."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

import pytest
from build_client import answer
from build_client.command_line import Output, Progress
from build_client.concluding import Wanted, conclude
from build_client.display import State, Step, Steps, Style, build_list, summary, view
from build_client.display.frame import frame, heading, step_line
from build_client.display.live import LiveView
from build_client.display.plain import DocumentView, PlainView, QuietView
from build_client.display.style import is_terminal
from build_client.errors import UsageError
from build_client.text import Palette, clip, columns, duration, printable, shown, size, wrap
from hypothesis import given
from hypothesis import strategies as st

if TYPE_CHECKING:
    from pathlib import Path

COLOUR = re.compile(r"\x1b\[\d+m")


class Screen(io.StringIO):
    """A terminal as LiveView sees it: writable, UTF-8, a tty."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def style(*, colour: bool = False) -> Style:
    environ = {"TERM": "xterm"} if colour else {"TERM": "xterm", "NO_COLOR": "1"}
    return Style.of(Screen(), environ)


def fed(*lines: str) -> Steps:
    steps = Steps()
    for line in lines:
        steps.feed(line, 0.0)
    return steps


def only(steps: Steps) -> Step:
    (step,) = steps
    return step


@pytest.mark.parametrize(
    ("line", "state"),
    [
        ("#5 DONE 0.3s", State.DONE),
        ("#5 CACHED", State.CACHED),
        ("#5 CANCELED", State.CANCELED),
        ("#5 ERROR: process did not complete: exit code: 3", State.FAILED),
    ],
)
def test_a_step_ends_as_its_last_line_says(line: str, state: State) -> None:
    steps = fed("#5 [2/4] COPY . .")

    ended = steps.feed(line, 1.0)

    assert isinstance(ended, Step)
    assert ended.name == "[2/4] COPY . ."
    assert ended.state is state
    assert steps.running == []


def test_a_step_keeps_the_builders_time_and_its_last_output() -> None:
    step = only(fed("#5 [2/4] RUN x", *(f"#5 0.{n} line {n}" for n in range(20)), "#5 DONE 2.5s"))

    assert step.seconds == 2.5
    assert list(step.output)[-1] == "line 19"
    assert len(step.output) == 8


def test_output_that_looks_like_an_end_ends_nothing() -> None:
    assert only(fed("#5 [1/1] RUN x", "#5 0.1 DONE 0.3s", "#5 0.2 CACHED")).state is State.RUNNING


def test_a_named_again_step_is_the_same_step() -> None:
    step = only(fed("#5 [1/1] RUN x", "#5 ...", "#5 [1/1] RUN x", "#5 transferring 2B"))

    assert step.detail == "transferring 2B"


def test_a_step_that_goes_on_after_its_end_runs_again_but_ends_only_once() -> None:
    steps = fed("#9 exporting to image", "#9 DONE 0.2s")

    assert steps.feed("#9 pushing layers 1MB / 5MB", 1.0) is None
    assert [step.detail for step in steps.running] == ["pushing layers 1MB / 5MB"]
    assert steps.feed("#9 DONE 0.3s", 2.0) is None
    assert steps.running == []
    assert only(steps).seconds == 0.5


def test_a_late_line_does_not_wake_an_ended_step() -> None:
    assert fed("#3 [internal] load", "#3 DONE 0.0s", "#3 transferring: 2B done").running == []


def test_a_step_that_fails_after_its_end_is_a_failure() -> None:
    steps = fed("#9 exporting to image", "#9 DONE 0.2s", "#9 pushing layers 1MB / 5MB")

    failed = steps.feed("#9 ERROR: denied", 1.0)

    assert isinstance(failed, Step)
    assert failed.state is State.FAILED


@pytest.mark.parametrize("line", ["", "plain words", "#", "#x y", "#5", "#5 WARN: old syntax"])
def test_a_line_of_no_step_is_handed_back(line: str) -> None:
    assert Steps().feed(line, 0.0) == line


@given(st.lists(st.text()))
def test_no_line_upsets_the_steps(lines: list[str]) -> None:
    steps = fed(*lines, *(f"#1 {line}" for line in lines))

    shown = frame(steps.running, 1.0, 40, 10, style())
    assert [line for line in shown if columns(line) > 40] == []


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        pytest.param("\x1b[31mred\x1b[0m", "red", id="colours"),
        pytest.param("\x1b]0;title\x07text", "text", id="window title"),
        pytest.param("\x1b[2J\x1b[Hgone", "gone", id="clear screen"),
        pytest.param(" 10%\r 50%\r100%", "100%", id="progress bar"),
        pytest.param("100%\r", "100%", id="closing carriage return"),
        pytest.param("a\tb", "a       b", id="tab"),
        pytest.param("bell\x07\x00\x9b2J", "bell2J", id="control characters"),
        pytest.param("a\u202eb\u2066c\u200fd", "abcd", id="text turned round"),
        pytest.param("a\u2028b\u200bc\ufeffd\U000e0041", "abcd", id="unseen characters"),
        pytest.param(
            "\u0646\u0645\u06cc\u200c\u062f", "\u0646\u0645\u06cc\u200c\u062f", id="a joiner"
        ),
        pytest.param("caf\udce9 \ud800", "caf\\xe9 \\ud800", id="no text"),
    ],
)
def test_a_log_line_cannot_drive_the_terminal(line: str, shown: str) -> None:
    assert printable(line) == shown


@given(st.text())
def test_nothing_printable_is_a_control_character(text: str) -> None:
    assert not re.search(
        "[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", printable(text)
    )
    assert not re.search("[\x00-\x08\x0a-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", shown(text))


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"])), st.integers(1, 40))
def test_clipped_text_fits(text: str, width: int) -> None:
    assert columns(clip(text, width)) <= width
    assert clip(text, 10_000) == text


@given(
    st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=200),
    st.sampled_from(State),
    st.integers(30, 110),
)
def test_a_step_never_wraps(name: str, state: State, width: int) -> None:
    step = Step(1, name, 0.0, state, seconds=12.3)

    assert columns(step_line(step, 4000.0, width, style())) <= width


def test_a_frame_shows_running_steps_with_their_last_output() -> None:
    steps = fed("#1 [1/2] FROM x", "#1 DONE 0.1s", "#2 [2/2] RUN y", "#2 0.1 a", "#2 0.2 b")

    shown = frame(steps.running, 3.2, 40, 10, style())

    assert shown == [" ⠹ [2/2] RUN y                      3.2s", "   a", "   b"]


def test_a_frame_never_exceeds_its_height() -> None:
    steps = fed(*(f"#{n} [{n}/9] RUN {n}" for n in range(1, 10)))

    assert len(frame(steps.running, 0.0, 40, 5, style())) == 5


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("#1 CACHED", " ✓ [1/2] RUN x                    cached"),
        ("#1 DONE 0.4s", " ✓ [1/2] RUN x                      0.4s"),
        ("#1 ERROR: no", " ✗ [1/2] RUN x                    failed"),
    ],
)
def test_an_ended_step_says_how_on_one_line(line: str, expected: str) -> None:
    step = only(fed("#1 [1/2] RUN x", line))

    assert step_line(step, 0.0, 40, style()) == expected
    assert COLOUR.sub("", step_line(step, 0.0, 40, style(colour=True))) == expected


def test_no_color_keeps_the_live_view_without_colours() -> None:
    steps = fed("#1 [1/2] RUN x")

    assert not COLOUR.search(step_line(only(steps), 0.0, 40, style()))
    assert COLOUR.search(step_line(only(steps), 0.0, 40, style(colour=True)))


@pytest.mark.parametrize("term", ["dumb", ""])
def test_a_terminal_that_cannot_move_its_cursor_gets_plain_lines(term: str) -> None:
    assert not is_terminal(Screen(), {"TERM": term})
    assert is_terminal(Screen(), {"TERM": "xterm"})
    assert not is_terminal(io.StringIO(), {"TERM": "xterm"})


def test_a_terminal_without_unicode_gets_ascii() -> None:
    screen = Screen()
    screen.encoding = "ascii"
    plain = Style.of(screen, {"TERM": "xterm"})

    for mark in (*plain.marks.values(), plain.spinner):
        assert mark.isascii()


def live(*sizes: tuple[int, int]) -> tuple[LiveView, Screen]:
    """Show a view on a terminal that has one of *sizes* after the other, a tick each, and keeps the last."""
    screen = Screen()
    left = list(sizes)

    class Resized(LiveView):
        def _size(self) -> tuple[int, int]:
            return left[0]

        def tick(self, steps: Steps, now: float) -> None:
            super().tick(steps, now)
            if len(left) > 1:
                left.pop(0)

    return Resized(screen, style()), screen


def test_the_live_view_draws_each_frame_in_place_of_the_last() -> None:
    view, screen = live((80, 24))
    steps = fed("#1 [1/1] RUN x", "#1 0.1 hello")

    view.tick(steps, 0.0)
    view.tick(steps, 1.0)
    view.line("#1 DONE 1.0s", steps.feed("#1 DONE 1.0s", 1.0))
    view.tick(steps, 1.0)
    view.close()

    assert screen.getvalue().count("\x1b[3A\r\x1b[J") == 2
    assert screen.getvalue().endswith("1.0s\n[+] Building 1.0s (1/1)\n\x1b[1A\r\x1b[J")


def test_the_live_view_erases_the_rows_that_a_narrower_terminal_makes_of_a_frame() -> None:
    view, screen = live((80, 24), (40, 24))
    steps = fed("#1 [1/1] RUN x", "#1 0.1 hello")

    view.tick(steps, 0.0)  # a heading, a step of 79 cells, its output
    view.tick(steps, 1.0)
    view.tick(steps, 2.0)

    assert re.findall(r"\x1b\[(\d+)A", screen.getvalue()) == ["4", "3"]


def test_the_live_view_erases_no_more_rows_than_a_lower_terminal_has() -> None:
    view, screen = live((80, 24), (80, 6))
    steps = fed(*(f"#{n} [{n}/9] RUN {n}" for n in range(1, 10)))

    view.tick(steps, 0.0)
    view.tick(steps, 1.0)

    assert re.findall(r"\x1b\[(\d+)A", screen.getvalue()) == ["5"]
    assert len(screen.getvalue().rpartition("\x1b[J")[2].splitlines()) <= 5


def test_the_live_view_shows_a_warning_to_its_end() -> None:
    view, screen = live((40, 24))
    line = f"#1 WARN: {'JSONArgsRecommended: ' * 4}do this instead"

    view.line(line, line)
    view.close()

    shown = screen.getvalue().splitlines()
    assert " ".join(" ".join(shown).split()) == line
    assert max(map(columns, shown)) <= 40


def test_the_heading_has_the_time_and_how_many_steps_there_are() -> None:
    steps = fed(
        *("#1 [internal] load", "#1 DONE 0.1s", "#2 [build 1/3] FROM x", "#2 CACHED"),
        *(
            "#3 [build 2/3] RUN y",
            "#3 DONE 1.0s",
            "#4 [stage-1 1/2] FROM z",
            "#5 [build 3/3] RUN w",
        ),
        *("#6 [build 2/3] RUN y", "#6 CACHED"),
    )

    assert heading(steps, 12.34, 80, style()) == "[+] Building 12.3s (2/5)"
    assert heading(fed("#1 [internal] load"), 0.0, 80, style()) == "[+] Building 0.0s"


def test_the_live_view_has_its_heading_also_between_steps() -> None:
    view, screen = live((80, 24))

    view.tick(fed("#1 [1/2] FROM x", "#1 DONE 0.1s"), 0.0)

    assert screen.getvalue() == "[+] Building 0.0s (1/2)\n"


def test_the_plain_view_passes_every_line_on_without_escapes() -> None:
    stream = io.StringIO()
    view = PlainView(stream)

    view.line("#1 0.1 \x1b[1mbold\x1b[0m", None)
    view.tick(Steps(), 0.0)
    view.close()

    assert stream.getvalue() == "#1 0.1 bold\n"


def test_the_plain_view_has_a_blank_line_between_steps() -> None:
    stream = io.StringIO()
    view = PlainView(stream)

    view.say("Building")
    for line in ("#1 a", "#1 DONE 0.1s", "#2 b", "said by nobody", "#1 WARN: c", "#1 d"):
        view.line(line, None)

    assert stream.getvalue().splitlines() == [
        *(
            "Building",
            "#1 a",
            "#1 DONE 0.1s",
            "",
            "#2 b",
            "said by nobody",
            "",
            "#1 WARN: c",
            "#1 d",
        ),
    ]


def test_documents_are_passed_on_one_a_line_and_alone() -> None:
    stream, aside = io.StringIO(), io.StringIO()
    view = DocumentView(stream, aside)

    view.say("Building")
    view.document({"log": ["\u202eé\x9b"]})
    view.line("\u202eé", None)

    assert stream.getvalue() == '{"log": ["\\u202e\\u00e9\\u009b"]}\n'
    assert aside.getvalue() == "build.py: Building\n"


def test_a_quiet_view_shows_no_line() -> None:
    stream = io.StringIO()
    view = QuietView(stream)

    view.line("#1 x", None)
    view.document({})
    view.say("a socket is left out")

    assert stream.getvalue() == "build.py: a socket is left out\n"


@pytest.mark.parametrize(
    ("progress", "stream", "kind"),
    [
        (Progress.AUTO, Screen(), LiveView),
        (Progress.AUTO, io.StringIO(), PlainView),
        (Progress.PLAIN, Screen(), PlainView),
        (Progress.TTY, Screen(), LiveView),
        (Progress.RAWJSON, Screen(), DocumentView),
        (Progress.QUIET, Screen(), QuietView),
    ],
)
def test_the_view_is_the_one_that_was_asked_for(
    progress: Progress, stream: io.StringIO, kind: type
) -> None:
    assert type(view(stream, {"TERM": "xterm"}, progress)) is kind


def test_a_live_view_where_there_is_no_terminal_is_refused() -> None:
    with pytest.raises(UsageError, match="--progress tty needs a terminal"):
        view(io.StringIO(), {"TERM": "xterm"}, Progress.TTY)


FAILED: dict[str, object] = {
    "status": "failed",
    "image": "r/a:1",
    "error": "the whole story",
    "failedStep": {
        "name": "[2/3] RUN make",
        "file": "Dockerfile",
        "line": 3,
        "exitCode": 2,
        "output": ["gcc: not found", "make: *** [all] Error 127"],
    },
}


def shown_failure(document: dict[str, object], dockerfile: str = "", *lines: str) -> list[str]:
    result = answer.result(document)
    assert result is not None
    return summary.failure(result, fed(*lines), dockerfile=dockerfile, style=style())


def test_a_failure_shows_step_place_source_and_last_output() -> None:
    assert shown_failure(FAILED, "FROM x\nCOPY . .\nRUN make\nUSER app\n") == [
        " ✗ [2/3] RUN make failed with exit code 2",
        "   Dockerfile:3",
        "     1 | FROM x",
        "     2 | COPY . .",
        "   > 3 | RUN make",
        "     4 | USER app",
        "   | gcc: not found",
        "   | make: *** [all] Error 127",
        "   the whole story",
    ]


def test_a_failure_without_output_gives_the_builders_reason() -> None:
    step = {"name": "[1/1] COPY x .", "line": 99, "file": "Dockerfile"}

    assert shown_failure({**FAILED, "failedStep": step}, "FROM x\n") == [
        " ✗ [1/1] COPY x . failed",
        "   Dockerfile:99",
        "   the whole story",
    ]


def test_a_failure_repeats_the_advice_below_the_output_and_nothing_twice() -> None:
    name = "[linux/arm64 2/2] RUN true"
    step = {"name": name, "file": "Dockerfile", "line": 2, "exitCode": 255}
    said = "exec /bin/sh: exec format error"
    error = "\n".join(
        [
            f"{name} failed (Dockerfile:2): /bin/sh cannot be run by buildkitd: it is for another platform.",
            'buildkitd said: process "/bin/sh -c true" did not complete successfully: exit code: 255',
            "The step's last output:",
            f"  {said}",
        ]
    )

    assert shown_failure({**FAILED, "error": error, "failedStep": {**step, "output": [said]}}) == [
        f" ✗ {name} failed with exit code 255",
        "   Dockerfile:2",
        f"   | {said}",
        "   /bin/sh cannot be run by buildkitd: it is for another platform.",
    ]


@pytest.mark.parametrize(
    ("code", "meaning"),
    [(137, "killed, perhaps out of memory"), (139, "a segmentation fault")],
)
def test_a_step_that_was_killed_is_told_as_such(code: int, meaning: str) -> None:
    step = {"name": "[1/1] RUN x", "exitCode": code}
    error = f'[1/1] RUN x failed: process "/bin/sh -c x" did not complete successfully: exit code: {code}'

    assert shown_failure({**FAILED, "error": error, "failedStep": step}) == [
        f" ✗ [1/1] RUN x failed with exit code {code} ({meaning})"
    ]


def test_a_failure_is_not_called_one_twice() -> None:
    error = "The build failed: r/a has no place for it."

    assert shown_failure({"status": "failed", "error": error}) == [f" ✗ {error}"]


def test_a_build_that_took_too_long_names_the_step_that_ran() -> None:
    error = "The build took longer than 5 s and was cancelled."
    log = ("#1 [1/3] FROM x", "#1 DONE 0.1s", "#2 [2/3] RUN slow", "#2 0.1 part 1", "#2 CANCELED")

    assert shown_failure(
        {"status": "failed", "error": error, "reason": "build_timed_out"}, "", *log
    ) == [
        f" ✗ {error}",
        "   It was running [2/3] RUN slow",
        "   | part 1",
    ]


WARNED: dict[str, object] = {
    "warnings": [{"message": "JSONArgs", "file": "Dockerfile", "line": 2, "url": "https://x/y"}],
    "warningsOmitted": 3,
}


def test_warnings_are_repeated_at_the_end_with_their_advice() -> None:
    told = [
        "   Warning: JSONArgs (Dockerfile:2)",
        "     https://x/y",
        "   ... and 3 more warnings, in the log.",
    ]

    assert shown_failure({**FAILED, **WARNED})[-3:] == told
    result = answer.result({"status": "success", **WARNED})
    assert result is not None
    assert summary.success(result, Steps(), pushed=True, style=style())[-3:] == told


def test_warnings_of_the_log_are_repeated_if_the_builder_does_not_list_them() -> None:
    log = "#5 WARN: use JSON (Dockerfile:2)"

    assert shown_failure(FAILED, "", log, log)[-1] == "   Warning: use JSON (Dockerfile:2)"


def test_a_failure_without_a_step_is_its_error() -> None:
    document: dict[str, object] = {"status": "failed", "error": "no push\n\nask them"}

    assert shown_failure(document) == [" ✗ The build failed: no push", "   ask them"]


def test_a_failure_without_a_word_says_so() -> None:
    assert shown_failure({"status": "failed"}) == [
        " ✗ The build failed: the builder does not say why."
    ]


CACHED_LOG = (
    *("#1 [internal] load metadata", "#1 CACHED", "#2 [1/3] FROM x", "#2 CACHED"),
    *("#5 [2/3] RUN y", "#5 CACHED", "#6 [3/3] RUN z", "#6 CACHED"),
    *("#3 [2/3] RUN y", "#3 DONE 1.0s", "#4 exporting to image", "#4 DONE 0.1s"),
)


def shown_success(document: dict[str, object], *lines: str) -> list[str]:
    told = {"status": "success", "imageName": "r/a:1", "digest": "sha256:1", "duration": 1.25}
    result = answer.result({**told, **document})
    assert result is not None
    return summary.success(result, fed(*lines), pushed=True, style=style())


def test_a_success_counts_the_steps_that_the_dockerfile_has_run() -> None:
    assert shown_success({}, *CACHED_LOG) == [
        " ✓ r/a:1 built and pushed in 1.2s, 1 of 2 steps cached",
        "   sha256:1",
    ]


def test_a_success_counts_cached_steps_as_the_builder_does() -> None:
    steps: list[dict[str, object]] = [
        {"name": "[internal] load", "stage": "internal", "cached": True},
        {"name": "[a 1/2] FROM x", "stage": "a", "cached": True},
        {"name": "[a 2/2] RUN y", "stage": "a", "cached": True},
        {"name": "[b 2/3] RUN y", "stage": "b", "cached": True},
        {"name": "[b 3/3] RUN z", "stage": "b", "cached": False},
    ]

    assert shown_success({"steps": steps, "cacheHits": 2}, *CACHED_LOG)[0].endswith(
        ", 2 of 3 steps cached"
    )
    assert shown_success({"steps": steps, "cacheHits": 1, "stepsOmitted": 9})[0].endswith(
        ", 1 step cached"
    )
    assert shown_success({"steps": steps, "cacheHits": 0}, *CACHED_LOG)[0].endswith(" in 1.2s")


@pytest.mark.parametrize(
    "document",
    [
        {"status": "in_progress", "log": ["#1 x"]},
        {"status": ["success"]},
        {},
    ],
)
def test_a_build_that_goes_on_has_no_result(document: dict[str, object]) -> None:
    assert answer.result(document) is None


@pytest.mark.parametrize(
    ("document", "lines"),
    [
        ({"log": ["a"], "logs": ["a"]}, ["a"]),
        ({"logs": ["a"]}, ["a"]),
        ({"log": [], "status": "in_progress"}, []),
        ({"log": "a"}, []),
        ({"log": ["a", 1]}, ["a"]),
    ],
)
def test_log_lines_are_taken_once_from_either_field(
    document: dict[str, object], lines: list[str]
) -> None:
    assert answer.log_lines(document) == lines


@given(
    st.dictionaries(
        st.sampled_from(["status", "error", "digest", "duration", "failedStep", "image", "log"]),
        st.none()
        | st.booleans()
        | st.integers()
        | st.sampled_from(["failed", "success"])
        | st.dictionaries(
            st.sampled_from(["name", "line", "file", "exitCode", "output"]),
            st.none() | st.text() | st.integers() | st.lists(st.none() | st.text()),
        ),
    )
)
def test_no_answer_of_strange_types_upsets_the_reader(document: dict[str, object]) -> None:
    result = answer.result(document)

    if result is not None and not result.succeeded:
        assert summary.failure(result, Steps(), dockerfile="FROM x", style=style())


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"])), st.integers(2, 40))
def test_wrapped_text_fits_and_is_whole(text: str, width: int) -> None:
    lines = wrap(text, width)

    assert max(map(columns, lines)) <= width
    assert "".join("".join(lines).split(" ")) == "".join(text.split(" "))


ABSURD = [-(10**400), 10**400, -1, 10**18, 1e308, float("inf"), float("-inf"), float("nan"), True]


@pytest.mark.parametrize("number", ABSURD)
def test_a_number_that_cannot_be_is_not_shown(number: float) -> None:
    told = {"buildId": "b", "state": "failed", "created": number, "duration": number}

    assert build_list.statuses([answer.build_status(told)], style()) == ["b" + " " * 33 + "failed"]
    step = {"name": "[1/1] RUN x", "file": "Dockerfile", "line": number, "exitCode": number}
    assert shown_failure({**FAILED, "failedStep": step, "cacheHits": number, "duration": number})
    assert shown_success({"duration": number, "cacheHits": number, "steps": [{"stage": number}]})


# What drives a terminal, what turns text round, what is seen by nobody, and half of a character.
HOSTILE = "\x1b[31mA\u202eB\x07\x9b31m\rC\ud800\u2066\u200b\x1b]0;title\x07"
CONTROL = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


@pytest.mark.parametrize("status", ["success", "failed"])
@pytest.mark.parametrize("progress", list(Progress))
@pytest.mark.parametrize("json", [False, True])
def test_nothing_that_a_builder_says_drives_a_terminal_or_ends_in_a_file(
    status: str,
    progress: Progress,
    json: bool,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ("image", "imageName", "digest", "buildId", "error", "reason", "state")
    step = {"name": HOSTILE, "file": HOSTILE, "line": 1, "exitCode": 1, "output": [HOSTILE]}
    warning = {"message": HOSTILE, "file": HOSTILE, "line": 1, "url": HOSTILE, "detail": HOSTILE}
    document: dict[str, object] = {
        **dict.fromkeys(words, HOSTILE),
        "status": status,
        "manifests": [{"platform": HOSTILE, "digest": HOSTILE}],
        "failedStep": step,
        "steps": [{"name": HOSTILE, "stage": HOSTILE}],
        "warnings": [warning],
    }
    result = answer.result(document)
    assert result
    files = tmp_path / "digest", tmp_path / "metadata"
    output = Output(progress=progress, json=json, digest_file=files[0], metadata_file=files[1])
    steps = fed("#1 [1/2] " + HOSTILE, HOSTILE)

    conclude(result, steps, {}, Wanted(output=output, pushed=True, dockerfile="FROM " + HOSTILE))

    said = capsys.readouterr()
    written = "".join(file.read_text() for file in files if file.exists())
    listed = build_list.statuses(answer.build_statuses({"builds": [document]}), style())
    for text in (said.out, said.err, written, *listed):
        assert not CONTROL.search(text)


def test_a_time_in_the_log_that_cannot_be_is_no_time() -> None:
    assert only(fed("#1 [1/1] RUN x", f"#1 DONE {'9' * 400}.0s")).state is State.RUNNING
    assert [duration(each) for each in (1e300, float("inf"), float("nan"))] == ["?", "?", "?"]


def test_hints_say_where_as_it_was_said() -> None:
    given = ("--url", "http://g/function/b?x=1&y", "--payload-secret", "my key")

    assert build_list.ask_again("logs", "b1", given, follow=True) == (
        "build.py logs b1 --follow --url 'http://g/function/b?x=1&y' --payload-secret 'my key'"
    )


def test_sizes_and_times_are_short() -> None:
    assert [size(n) for n in (0, 1023, 2048, 5 << 20)] == ["0 B", "1023 B", "2.0 KiB", "5.0 MiB"]
    assert [duration(s) for s in (0.04, 59.9, 61.0, 3600.0)] == ["0.0s", "59.9s", "1m01s", "60m00s"]


def test_a_palette_that_is_off_changes_nothing() -> None:
    assert Palette(enabled=False).red("x") == "x"


def test_steps_of_daemons_that_build_a_platform_each_are_kept_apart() -> None:
    steps = fed(
        "linux/amd64 #1 [internal] load build definition from Dockerfile",
        "linux/amd64 #2 [made 2/4] RUN make",
        "linux/arm64 #2 [made 2/4] RUN make",
        "linux/arm64 #2 0.1 out",
        "linux/arm64 #2 DONE 0.3s",
        "linux/arm64 #2 [made 2/4] RUN make",
        "linux/386,linux/s390x #2 [linux/386 2/4] RUN make",
        "#1 [linux/amd64 internal] load config of x",
    )

    assert [(step.name, step.state, step.internal) for step in steps] == [
        ("[linux/amd64 internal] load build definition from Dockerfile", State.RUNNING, True),
        ("[linux/amd64 made 2/4] RUN make", State.RUNNING, False),
        ("[linux/arm64 made 2/4] RUN make", State.DONE, False),
        ("[linux/386 2/4] RUN make", State.RUNNING, False),
        ("[linux/amd64 internal] load config of x", State.RUNNING, True),
    ]
    assert steps.progress == (1, 12)


def test_lines_of_two_platforms_are_kept_apart_in_a_plain_log() -> None:
    stream = io.StringIO()
    shown = PlainView(stream)
    for line in ("linux/amd64 #1 a", "linux/arm64 #1 a", "linux/arm64 #1 DONE 0.1s", "#1 b"):
        shown.line(line, None)

    assert stream.getvalue().split("\n") == [
        "linux/amd64 #1 a",
        "",
        "linux/arm64 #1 a",
        "linux/arm64 #1 DONE 0.1s",
        "",
        "#1 b",
        "",
    ]


def test_the_summary_lists_the_manifests_of_an_index() -> None:
    result = answer.result(
        {
            "status": "success",
            "image": "r/a:1",
            "digest": "sha256:0",
            "manifests": [
                {"platform": "linux/amd64", "digest": "sha256:1"},
                {"platform": "linux/arm/v7", "digest": "sha256:2"},
            ],
        }
    )
    assert result

    lines = summary.success(result, Steps(), pushed=True, style=style())

    assert lines[-2:] == ["     linux/amd64   sha256:1", "     linux/arm/v7  sha256:2"]
