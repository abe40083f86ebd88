from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from function.buildkit.outcome import BuildWarning
from function.buildkit.progress.vertex_warning import build_warning
from function.pb import control_pb2 as pb

# As buildkitd 0.32.2 sent it for `FROM debian as build`.
FROM_AS_CASING = pb.VertexWarning(
    short=b"FromAsCasing: 'as' and 'FROM' keywords' casing do not match (line 1)",
    detail=[b"The 'as' keyword should match the case of the 'from' keyword"],
    url="https://docs.docker.com/go/dockerfile/rule/from-as-casing/",
    info=pb.SourceInfo(filename="Dockerfile"),
    ranges=[pb.Range(start=pb.Position(line=1))],
)


def test_what_the_linter_says_is_in_fields() -> None:
    assert build_warning(FROM_AS_CASING) == BuildWarning(
        message="FromAsCasing: 'as' and 'FROM' keywords' casing do not match",
        file="Dockerfile",
        line=1,
        url="https://docs.docker.com/go/dockerfile/rule/from-as-casing/",
        detail=("The 'as' keyword should match the case of the 'from' keyword",),
    )


def test_the_first_line_of_several_is_the_warnings() -> None:
    ranges = [pb.Range(start=pb.Position(line=line)) for line in (7, 3, 9)]

    warning = build_warning(pb.VertexWarning(short=b"Rule: words (line 7)", ranges=ranges))

    assert (warning.line, warning.message) == (3, "Rule: words (line 7)")


def test_a_warning_of_no_place_has_none() -> None:
    assert build_warning(pb.VertexWarning(short=b"words (line 3)")) == BuildWarning(
        message="words (line 3)"
    )


@given(short=st.binary(), detail=st.lists(st.binary(), max_size=3), filename=st.text())
def test_any_bytes_make_plain_text(short: bytes, detail: list[bytes], filename: str) -> None:
    info = pb.SourceInfo(filename=filename.encode(errors="replace").decode())
    warning = build_warning(pb.VertexWarning(short=short, detail=detail, info=info))

    for text in (warning.message, warning.file, *warning.detail):
        assert "\x1b" not in text
        assert "\x00" not in text
