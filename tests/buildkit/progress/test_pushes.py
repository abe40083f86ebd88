from __future__ import annotations

import pytest

from function.buildkit.progress.pushes import Pushes
from function.pb import control_pb2 as pb

NAME = "registry.example.com/fn:1"
DIGEST = "sha256:" + "a" * 64


def status(
    at: int | None, name: str = NAME, digest: str = DIGEST, vertex: str = "export"
) -> pb.StatusResponse:
    """Return the push of *name*'s manifest; ended *at* that second, or still going."""
    pushed = pb.VertexStatus(ID=f"pushing manifest for {name}@{digest}", vertex=vertex)
    if at is not None:
        pushed.completed.seconds = at
    return pb.StatusResponse(statuses=[pushed])


def vertex(at: int, error: str = "", digest: str = "export") -> pb.StatusResponse:
    ended = pb.Vertex(digest=digest, error=error)
    ended.completed.seconds = at
    return pb.StatusResponse(vertexes=[ended])


def pushed_after(*responses: pb.StatusResponse, names: tuple[str, ...] = (NAME,)) -> str:
    pushes = Pushes(names)
    for response in responses:
        pushes.update(response)
    return pushes.digest if pushes.done else ""


@pytest.mark.parametrize(
    "responses",
    [
        (status(5), vertex(5)),
        (vertex(6), status(5)),
        (vertex(1), status(None), status(5), vertex(5)),
    ],
    ids=["status first", "vertex first", "after the export's own end"],
)
def test_an_image_is_pushed_once_its_manifest_and_the_vertex_have_ended(
    responses: tuple[pb.StatusResponse, ...],
) -> None:
    assert pushed_after(*responses) == DIGEST


@pytest.mark.parametrize(
    "responses",
    [
        (status(5),),
        (status(None), vertex(5)),
        (vertex(4), status(5)),
        (status(5), vertex(5, error="denied")),
        (status(5), vertex(5, digest="another")),
        (status(5, name="registry.example.com/other:1"), vertex(5)),
    ],
    ids=[
        "the vertex goes on",
        "the push goes on",
        "the vertex ended before it",
        "the push failed",
        "another vertex ended",
        "another name was pushed",
    ],
)
def test_an_image_is_not_pushed_while(responses: tuple[pb.StatusResponse, ...]) -> None:
    assert pushed_after(*responses) == ""


def test_every_name_must_have_been_pushed() -> None:
    names = (NAME, "registry.example.com/fn:2")
    first = (status(5), vertex(5))
    assert pushed_after(*first, names=names) == ""
    assert pushed_after(*first, status(6, names[1]), vertex(6), names=names) == DIGEST


def named(*names: str) -> pb.StatusResponse:
    """Return statuses that say no more than what is done."""
    return pb.StatusResponse(statuses=[pb.VertexStatus(ID=name) for name in names])


def test_a_push_foretells_the_digest_of_what_was_exported_last() -> None:
    pushes = Pushes([NAME])

    pushes.update(named(f"exporting manifest sha256:{'b' * 64}", "exporting config sha256:c"))
    pushes.update(named(f"exporting manifest list {DIGEST}"))
    assert pushes.digest == ""

    pushes.update(named("pushing layers"))
    assert (pushes.digest, pushes.done) == (DIGEST, False)


def test_the_digest_that_is_pushed_is_the_images() -> None:
    pushes = Pushes([NAME])

    pushes.update(named(f"exporting manifest sha256:{'b' * 64}", "pushing layers"))
    pushes.update(status(None))

    assert (pushes.digest, pushes.done) == (DIGEST, False)


def test_nothing_to_push_is_never_taken_for_pushed() -> None:
    assert pushed_after(status(5), vertex(5), names=()) == ""
