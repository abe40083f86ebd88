"""The trees that the benchmark builds: new where they must be, and only there."""

import subprocess
import time

from benchmark.contexts import (
    LOGGED_LINES_PER_SECOND,
    LOGGED_SECONDS,
    SMALL_FILES,
    Context,
    ContextSource,
    File,
)

LINES = LOGGED_LINES_PER_SECOND * LOGGED_SECONDS


def source(seed: int = 1) -> ContextSource:
    return ContextSource(
        sample=[("Dockerfile", b"FROM scratch\n"), ("function/handler.py", b"pass\n")],
        seed=seed,
        started=1_700_000_000,
    )


def by_path(context: Context) -> dict[str, File]:
    return {file.path: file for file in context}


def test_the_sample_is_the_same_every_time() -> None:
    contexts = source()
    first = contexts.unchanged()
    contexts.one_change()
    assert contexts.unchanged() == first
    assert {file.modified for file in first} == {1_700_000_000}


def test_one_change_changes_one_file_and_its_time() -> None:
    contexts = source()
    first, second = by_path(contexts.one_change()), by_path(contexts.one_change())
    differing = {path for path in first | second if first[path] != second[path]}
    assert differing == {"handler.py"}
    assert first["handler.py"].content != second["handler.py"].content
    assert first["handler.py"].modified < second["handler.py"].modified


def test_every_small_file_is_new_in_content_and_time() -> None:
    contexts = source()
    first, second = by_path(contexts.small_files()), by_path(contexts.small_files())
    assert first.keys() == second.keys()
    assert len(first) == SMALL_FILES + 1
    for path, file in first.items():
        if path != "Dockerfile":
            assert file.content != second[path].content
            assert file.modified < second[path].modified


def test_two_runs_of_the_benchmark_build_different_content() -> None:
    one, other = source(seed=1).one_change(), source(seed=2).one_change()
    assert by_path(one)["handler.py"].content != by_path(other)["handler.py"].content


def test_a_talkative_step_prints_its_lines_at_their_pace() -> None:
    program = by_path(source().talkative())["talk.pl"].content
    # Some of them, so that the test is short; the pace is told by the same clock.
    hasty = program.replace(str(LINES).encode(), b"200")
    began = time.monotonic()
    said = subprocess.run(["perl", "-"], input=hasty, capture_output=True, check=True).stdout
    assert time.monotonic() - began >= 0.15
    numbers = [
        int(line.removeprefix("line ").partition(":")[0]) for line in said.decode().splitlines()
    ]
    assert numbers == list(range(1, 201))


def test_a_talkative_step_is_new_every_time() -> None:
    contexts = source()
    first, second = by_path(contexts.talkative()), by_path(contexts.talkative())
    assert first["talk.pl"].content != second["talk.pl"].content
    assert first["Dockerfile"] == second["Dockerfile"]
