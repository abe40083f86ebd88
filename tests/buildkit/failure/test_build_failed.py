from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from function.buildkit.errors import SolveFailed, SourceDenied
from function.buildkit.failure import build_failed
from function.buildkit.outcome import FailedStep
from function.buildkit.progress.printer import Printer
from function.buildkit.text.plain_text import clean_message
from function.pb import control_pb2 as pb
from function.pb import rpc_status_pb2

VERTEX = "sha256:" + "4" * 64
DOCKERFILE = "FROM a\n\nCOPY b c\nRUN exit 3\nRUN d\nRUN e\nRUN f\n"
CAUSE = 'process "/bin/sh -c exit 3" did not complete successfully: exit code: 3'


def solve_failed(*args: Any, **kwargs: Any) -> SolveFailed:
    error = build_failed.solve_failed(*args, **kwargs)
    assert isinstance(error, SolveFailed)
    return error


def details_bin(**values: Any) -> bytes:
    """Return the trailer with one detail of each type named, in JSON."""
    return rpc_status_pb2.Status(
        code=2,
        message="…",
        details=[
            rpc_status_pb2.Detail(
                type_url=f"github.com/moby/buildkit/{name}+json", value=json.dumps(value).encode()
            )
            for name, value in ((name.replace("_", "."), value) for name, value in values.items())
        ],
    ).SerializeToString()


def source(
    text: str = DOCKERFILE, first: Any = 4, last: Any = 4, filename: str = "Dockerfile"
) -> Any:
    return {
        "info": {"filename": filename, "data": base64.b64encode(text.encode()).decode()},
        "ranges": [{"start": {"line": first}, "end": {"line": last}}],
    }


def progress(*output: str, name: str = "[3/6] RUN exit 3") -> Printer:
    seen = Printer()
    vertex = pb.Vertex(digest=VERTEX, name=name)
    vertex.started.seconds = 1
    log = pb.VertexLog(
        vertex=VERTEX, stream=1, msg="".join(f"{line}\n" for line in output).encode()
    )
    seen.update(pb.StatusResponse(vertexes=[vertex], logs=[log]))
    return seen


def run_failed(*output: str, name: str = "[3/6] RUN exit 3") -> SolveFailed:
    details = details_bin(
        errdefs_Source=source(),
        errdefs_Vertex={"digest": VERTEX},
        gatewayapi_ExitMessage={"Code": 3},
    )
    return solve_failed(f"failed to solve: {CAUSE}", details, progress(*output, name=name))


def step_of(error: SolveFailed) -> FailedStep:
    assert error.failed_step is not None
    return error.failed_step


def test_says_which_step_failed_where_and_how() -> None:
    assert run_failed("one", "two").failed_step == FailedStep(
        name="[3/6] RUN exit 3",
        file="Dockerfile",
        line=4,
        exit_code=3,
        output=("one", "two"),
        excerpt=(
            "   2 |     ",
            "   3 |     COPY b c",
            "   4 | >>> RUN exit 3",
            "   5 |     RUN d",
            "   6 |     RUN e",
        ),
    )


def test_the_sentence_repeats_the_last_output() -> None:
    assert str(run_failed("one", "two")) == (
        f"[3/6] RUN exit 3 failed (Dockerfile:4): {CAUSE}\nThe step's last output:\n  one\n  two"
    )


def test_a_fault_in_the_dockerfile_is_shown_though_no_step_ran() -> None:
    details = details_bin(errdefs_Source=source("FRM a\n", 1, 1))

    error = solve_failed("dockerfile parse error: unknown instruction: FRM", details, Printer())

    assert str(error) == (
        "the build failed (Dockerfile:1): dockerfile parse error: unknown instruction: FRM"
    )
    assert step_of(error).excerpt == ("   1 | >>> FRM a",)


def test_a_message_without_details_is_the_whole_error() -> None:
    error = solve_failed("failed to solve: pull access denied", b"", Printer())

    assert str(error) == "The build failed: pull access denied"
    assert error.failed_step is None


def test_lines_are_counted_as_the_daemon_counts_them() -> None:
    text = "# form\x0cfeed, line\u2028separator, next\x85line\nRUN exit 3\n"

    error = solve_failed(CAUSE, details_bin(errdefs_Source=source(text, 2, 2)), Printer())

    assert "   2 | >>> RUN exit 3" in step_of(error).excerpt


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        pytest.param(
            "failed to solve: failed to compute cache key: failed to calculate checksum of ref "
            'k2vz::9qtd: "/nofile": not found',
            '"/nofile": not found',
            id="a checksum that could not be made",
        ),
        pytest.param(
            "open /home/u/.local/share/buildkit/runc-native/snapshots/7/fs/etc: denied",
            "open (a path of the daemon): denied",
            id="a snapshot",
        ),
        pytest.param(
            "lstat /tmp/buildkit-mount3/x: no such file",
            "lstat (a path of the daemon): no such file",
            id="a mount",
        ),
        pytest.param(
            'process "cat /var/lib/app/snapshots.txt" failed',
            'process "cat /var/lib/app/snapshots.txt" failed',
            id="a path of the user's",
        ),
    ],
)
def test_cleans_a_message_of_the_daemons_insides(message: str, shown: str) -> None:
    assert clean_message(message) == shown


def test_a_registrys_failure_is_explained_before_the_daemons_own_words() -> None:
    details = details_bin(errdefs_Source=source("FROM a:5/b:1\n", 1, 1))
    message = "a:5/b:1: failed to resolve source metadata for a:5/b:1: a:5/b:1: not found"

    error = solve_failed(message, details, Printer())

    assert str(error) == (
        "the build failed (Dockerfile:1): The base image a:5/b:1 cannot be pulled: a:5 has no b:1. Check the "
        f"name.\nbuildkitd said: {message}"
    )
    assert step_of(error).line == 1


def test_a_secret_that_was_not_sent_is_asked_for() -> None:
    details = details_bin(errdefs_Source=source(), errdefs_Vertex={"digest": VERTEX})

    error = solve_failed("failed to solve: secret token: not found", details, progress())

    assert str(error).startswith(
        '[3/6] RUN exit 3 failed (Dockerfile:4): The build was not sent the secret "token". '
    )
    assert "\nbuildkitd said: secret token: not found" in str(error)


def test_a_program_of_another_platform_is_told_by_the_last_output() -> None:
    details = details_bin(errdefs_Vertex={"digest": VERTEX})
    seen = progress("exec /bin/sh: exec format error\x1b[0m")

    error = solve_failed(CAUSE, details, seen, platforms="linux/arm64")

    assert "another platform than the daemon's (asked for: linux/arm64)" in str(error)
    assert f"\nbuildkitd said: {CAUSE}" in str(error)
    assert "--platform=$BUILDPLATFORM" not in str(solve_failed(CAUSE, details, progress("failed")))


def test_stack_traces_are_never_read() -> None:
    trace = {"frames": [{"Name": "main.run", "File": "/src/daemon.go", "Line": 7}]}

    error = solve_failed(CAUSE, details_bin(stack_Stack=trace, errdefs_Source=source()), progress())

    assert "daemon.go" not in repr(error) + repr(error.failed_step)


def test_a_message_full_of_slashes_is_cleaned_in_linear_time() -> None:
    # The search for daemon paths takes quadratic time; on all of this it would not end.
    assert len(clean_message("process " + "/a" * 5_000_000)) <= 2_000


def test_a_long_cause_keeps_its_end_which_says_what_happened() -> None:
    error = solve_failed(f'process "{"x" * 50_000}" failed: exit code: 3', b"", Printer())

    assert str(error).endswith('" failed: exit code: 3')
    assert len(str(error)) < 2_100


def test_repeats_the_last_fifty_lines_of_output() -> None:
    lines = [f"line {number}" for number in range(100)]

    assert step_of(run_failed(*lines)).output == tuple(lines[-50:])


def test_one_endless_line_does_not_displace_the_others() -> None:
    output = step_of(run_failed("before", "x" * 300_000, "after")).output

    assert output == ("before", "x" * 499 + "…", "after")


def test_long_output_is_cut_at_its_beginning() -> None:
    lines = [f"{number} " + "y" * 450 for number in range(20)]

    output = step_of(run_failed(*lines)).output

    assert list(output) == lines[-len(output) :]
    assert 3_500 < len("".join(output)) <= 4_000


def test_output_is_repeated_without_escape_sequences() -> None:
    assert step_of(run_failed("\x1b[31mred\x1b[0m\x00")).output == ("red",)


def test_a_long_instruction_is_shown_by_its_start() -> None:
    step = step_of(run_failed(name="[1/1] RUN " + "z" * 5_000))

    assert step.name == "[1/1] RUN " + "z" * 289 + "…"


def test_an_excerpt_of_a_long_instruction_is_bounded() -> None:
    text = "RUN <<EOF\n" + "w" * 100_000 + "\n" + "echo\n" * 10_000 + "EOF\n"

    error = solve_failed(CAUSE, details_bin(errdefs_Source=source(text, 1, 10_003)), Printer())

    excerpt = step_of(error).excerpt
    assert excerpt[0] == "   1 | >>> RUN <<EOF"
    assert len(excerpt[1]) == 300
    assert len("".join(excerpt)) <= 2_000


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["info", "ranges", "start", "end", "line", "filename", "data", "digest", "Code"]
            ),
            inner,
        )
    ),
    max_leaves=12,
)


@given(source=json_values, vertex=json_values, code=json_values)
def test_malformed_details_still_make_an_error_with_the_cause(
    source: Any, vertex: Any, code: Any
) -> None:
    details = details_bin(errdefs_Source=source, errdefs_Vertex=vertex, gatewayapi_ExitMessage=code)

    error = solve_failed("the cause", details, progress())

    assert "the cause" in str(error)


@given(ranges=json_values, info=json_values)
def test_a_malformed_source_is_as_good_as_none(ranges: Any, info: Any) -> None:
    details = details_bin(errdefs_Source={"ranges": [ranges], "info": info})

    assert "the cause" in str(solve_failed("the cause", details, progress()))


@given(st.binary())
def test_a_trailer_that_is_no_status_is_ignored(trailer: bytes) -> None:
    assert "the cause" in str(solve_failed("the cause", trailer, Printer()))


def test_details_nested_too_deep_for_json_are_ignored() -> None:
    deep = rpc_status_pb2.Detail(type_url="errdefs.Source+json", value=b"[" * 100_000)
    trailer = rpc_status_pb2.Status(details=[deep]).SerializeToString()

    assert str(solve_failed("the cause", trailer, Printer())) == "The build failed: the cause"


def resolving(**errors: str) -> Printer:
    """The progress of a build that asked for the images of those names."""
    seen = Printer()
    for name, error in errors.items():
        vertex = pb.Vertex(
            digest=f"sha256:{name}", name=f"[internal] load metadata for r.io/{name}:1"
        )
        vertex.started.seconds, vertex.completed.seconds = 1, 2
        vertex.error = error
        seen.update(pb.StatusResponse(vertexes=[vertex]))
    return seen


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            "context canceled",
            "Whether r.io/b:1 can be pulled is not known: buildkitd stopped asking",
        ),
        ("r.io/b:1: not found", "The base image r.io/b:1 cannot be pulled: r.io has no b:1, or"),
        ("something new", "The base image r.io/b:1 cannot be pulled: something new"),
    ],
)
def test_of_two_base_images_that_may_be_missing_both_are_named(error: str, said: str) -> None:
    message = "failed to resolve source metadata for r.io/a:1: r.io/a:1: not found"

    cause = str(solve_failed(message, b"", resolving(b=error, a="r.io/a:1: not found", c="")))

    assert cause.count("The base image r.io/a:1 cannot be pulled") == 1
    assert said in cause
    assert "r.io/c" not in cause


DENIED = (
    'could not resolve image due to policy: source "{}" denied by policy: source denied by policy'
)


def test_a_source_that_is_denied_is_no_image_that_cannot_be_pulled() -> None:
    message = (
        "failed to solve: docker.io/library/a:1: failed to resolve source metadata for "
        f"docker.io/library/a:1: {DENIED.format('docker-image://docker.io/library/a:1')}"
    )

    error = solve_failed(message, details_bin(errdefs_Source=source()), Printer())

    assert isinstance(error, SourceDenied)
    assert error.source == "docker-image://docker.io/library/a:1"
    assert error.failed_step is not None
    assert (error.failed_step.file, error.failed_step.line) == ("Dockerfile", 4)


def test_a_step_that_prints_the_words_of_a_denial_has_failed_by_itself() -> None:
    details = details_bin(errdefs_Vertex={"digest": VERTEX}, gatewayapi_ExitMessage={"Code": 3})

    error = solve_failed(f"{DENIED.format('a')}: {CAUSE}", details, progress("said"))

    assert not isinstance(error, SourceDenied)
