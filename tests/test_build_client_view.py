"""What scripts/build.py shows: log lines to steps, steps to a frame, a result to a summary."""

from __future__ import annotations

import io
import re

import pytest
from build_client import answer
from build_client.display import summary, terminal
from build_client.display.steps import State, Step, Steps
from build_client.text import Palette, clip, columns, duration, printable, size
from hypothesis import given
from hypothesis import strategies as st

COLOUR = re.compile(r"\x1b\[\d+m")


class Screen(io.StringIO):
    """A terminal as LiveView sees it: writable, UTF-8, a tty."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def style(*, colour: bool = False) -> terminal.Style:
    environ = {"TERM": "xterm"} if colour else {"TERM": "xterm", "NO_COLOR": "1"}
    return terminal.Style.of(Screen(), environ)


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

    shown = terminal.frame(steps.running, 1.0, 40, 10, style())
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
    ],
)
def test_a_log_line_cannot_drive_the_terminal(line: str, shown: str) -> None:
    assert printable(line) == shown


@given(st.text())
def test_nothing_printable_is_a_control_character(text: str) -> None:
    assert not re.search(r"[\x00-\x1f\x7f-\x9f]", printable(text))


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

    assert columns(terminal.step_line(step, 4000.0, width, style())) <= width


def test_a_frame_shows_running_steps_with_their_last_output() -> None:
    steps = fed("#1 [1/2] FROM x", "#1 DONE 0.1s", "#2 [2/2] RUN y", "#2 0.1 a", "#2 0.2 b")

    shown = terminal.frame(steps.running, 3.2, 40, 10, style())

    assert shown == [" ⠹ [2/2] RUN y                      3.2s", "   a", "   b"]


def test_a_frame_never_exceeds_its_height() -> None:
    steps = fed(*(f"#{n} [{n}/9] RUN {n}" for n in range(1, 10)))

    assert len(terminal.frame(steps.running, 0.0, 40, 5, style())) == 5


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

    assert terminal.step_line(step, 0.0, 40, style()) == expected
    assert COLOUR.sub("", terminal.step_line(step, 0.0, 40, style(colour=True))) == expected


def test_no_color_keeps_the_live_view_without_colours() -> None:
    steps = fed("#1 [1/2] RUN x")

    assert not COLOUR.search(terminal.step_line(only(steps), 0.0, 40, style()))
    assert COLOUR.search(terminal.step_line(only(steps), 0.0, 40, style(colour=True)))


@pytest.mark.parametrize("term", ["dumb", ""])
def test_a_terminal_that_cannot_move_its_cursor_gets_plain_lines(term: str) -> None:
    assert not terminal.is_terminal(Screen(), {"TERM": term})
    assert terminal.is_terminal(Screen(), {"TERM": "xterm"})
    assert not terminal.is_terminal(io.StringIO(), {"TERM": "xterm"})


def test_a_terminal_without_unicode_gets_ascii() -> None:
    screen = Screen()
    screen.encoding = "ascii"
    plain = terminal.Style.of(screen, {"TERM": "xterm"})

    for mark in (*plain.marks.values(), plain.spinner):
        assert mark.isascii()


def test_the_live_view_draws_each_frame_in_place_of_the_last() -> None:
    screen = Screen()
    view = terminal.LiveView(screen, style())
    steps = fed("#1 [1/1] RUN x", "#1 0.1 hello")

    view.tick(steps.running, 0.0)
    view.tick(steps.running, 1.0)
    view.line("#1 DONE 1.0s", steps.feed("#1 DONE 1.0s", 1.0))
    view.tick(steps.running, 1.0)
    view.close()

    assert screen.getvalue().count("\x1b[2A\r\x1b[J") == 2
    assert screen.getvalue().rstrip("\n").endswith("1.0s")


def test_the_plain_view_passes_every_line_on_without_escapes() -> None:
    stream = io.StringIO()
    view = terminal.PlainView(stream)

    view.line("#1 0.1 \x1b[1mbold\x1b[0m", None)
    view.tick([], 0.0)
    view.close()

    assert stream.getvalue() == "#1 0.1 bold\n"


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
    ]


def test_a_failure_without_output_gives_the_builders_reason() -> None:
    step = {"name": "[1/1] COPY x .", "line": 99, "file": "Dockerfile"}

    assert shown_failure({**FAILED, "failedStep": step}, "FROM x\n") == [
        " ✗ [1/1] COPY x . failed",
        "   Dockerfile:99",
        "   | the whole story",
    ]


def test_a_failure_without_a_step_is_its_error() -> None:
    document: dict[str, object] = {"status": "failed", "error": "no push\n\nask them"}

    assert shown_failure(document) == [" ✗ The build failed: no push", "   ask them"]


def test_a_failure_without_a_word_says_so() -> None:
    assert shown_failure({"status": "failed"}) == [
        " ✗ The build failed: the builder does not say why."
    ]


def test_a_success_counts_the_dockerfiles_cached_steps() -> None:
    result = answer.result(
        {"status": "success", "imageName": "r/a:1", "digest": "sha256:1", "duration": 1.25}
    )
    assert result is not None
    steps = fed(
        *("#1 [internal] load metadata", "#1 CACHED", "#2 [1/2] FROM x", "#2 CACHED"),
        *("#5 [2/2] RUN y", "#5 CACHED"),
        *("#3 [2/2] RUN y", "#3 DONE 1.0s", "#4 exporting to image", "#4 DONE 0.1s"),
    )

    assert summary.success(result, steps, pushed=True, style=style()) == [
        " ✓ r/a:1 built and pushed in 1.2s, 1 of 2 steps cached",
        "   sha256:1",
    ]


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


def test_sizes_and_times_are_short() -> None:
    assert [size(n) for n in (0, 1023, 2048, 5 << 20)] == ["0 B", "1023 B", "2.0 KiB", "5.0 MiB"]
    assert [duration(s) for s in (0.04, 59.9, 61.0, 3600.0)] == ["0.0s", "59.9s", "1m01s", "60m00s"]


def test_a_palette_that_is_off_changes_nothing() -> None:
    assert Palette(enabled=False).red("x") == "x"
