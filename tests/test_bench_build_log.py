"""Plain logs, and what they say about the cache."""

from benchmark.build_log import Step, missing, steps, unexpected

LOG = """\
#1 [internal] load build definition from Dockerfile
#1 DONE 0.0s
#4 [build 1/3] FROM docker.io/library/debian:trixie-slim
#4 CACHED
#5 [internal] load build context
#5 DONE 0.0s
#6 [build 2/3] WORKDIR /home/app
#6 CACHED
#7 [build 3/3] COPY . .
#7 DONE 0.1s
#8 [stage-1 2/2] RUN echo "#9 CACHED"
#8 0.051 #6 CACHED
#8 CACHED
#10 exporting to image
""".splitlines()


def test_steps_are_named_by_their_instruction_without_from() -> None:
    assert steps(LOG) == [
        Step("WORKDIR /home/app", cached=True),
        Step("COPY . .", cached=False),
        Step('RUN echo "#9 CACHED"', cached=True),
    ]


def test_a_step_without_a_stage_name_is_found() -> None:
    assert steps(["#3 [1/1] COPY . /to", "#3 CACHED"]) == [Step("COPY . /to", cached=True)]


def test_a_step_may_be_named_again_later() -> None:
    log = ["#3 [2/2] RUN a", "#4 [internal] load", "#3 [2/2] RUN a", "#3 CACHED"]
    assert steps(log) == [Step("RUN a", cached=True)]


def test_new_content_must_run_from_the_first_copy_on() -> None:
    assert unexpected(steps(LOG), fresh=True) == [Step('RUN echo "#9 CACHED"', cached=True)]


def test_old_content_must_run_nothing() -> None:
    assert unexpected(steps(LOG), fresh=False) == [Step("COPY . .", cached=False)]


def test_lines_that_a_step_printed_are_counted_by_their_numbers() -> None:
    log = ["#7 [2/2] RUN perl talk.pl", "#7 0.001 line 1: a", "#7 0.002 line 3: c", "#7 DONE 0.1s"]
    assert missing(log, 4) == [2, 4]
    assert missing([*log, "#7 0.003 line 2: b", "#7 0.004 line 4: line 5: d"], 4) == []


def test_a_line_told_of_and_not_printed_is_missing() -> None:
    assert missing(["#7 line 1: a", "line 1: a"], 1) == [1]
