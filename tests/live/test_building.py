"""A signed tar in, a pushed image out; and what the image is then good for."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from stack.images.registry_client import RegistryClient

from ..parts import container
from .caller import NDJSON, Answer, Request, build

if TYPE_CHECKING:
    from stack.machine import Machine

TEMPLATE = Path(__file__).parents[2] / "template" / "python3-http"
LOOP = "i=0; while [ $i -lt 1000 ]; do i=$((i+1)); echo line-$i; done"


def template_files() -> dict[str, bytes]:
    return {
        str(path.relative_to(TEMPLATE)): path.read_bytes()
        for path in sorted(TEMPLATE.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_built_function_can_be_pulled_and_called(
    builder: str, mirror: str, machine: Machine
) -> None:
    image = f"{mirror}/live/sample:1"
    answer = build(builder, Request(template_files(), image))
    assert answer.status == 200, answer.document.get("error")
    client = RegistryClient(mirror)
    with container.run(machine, client, "live/sample:1") as running:
        assert running.digest == answer.document["digest"]
        assert running.call(b"") == (200, b"Hello from OpenFaaS!")


def test_answer_has_both_generations_of_field_names(builder: str, mirror: str) -> None:
    document = build(builder, scratch_image(f"{mirror}/live/names:1")).document
    assert document["status"] == "success"
    assert document["image"] == document["imageName"] == f"{mirror}/live/names:1"
    assert document["log"] == document["logs"] != []
    assert document["digest"].startswith("sha256:")
    assert document["duration"] > 0
    assert len(document["buildId"]) == 32


def test_stream_ends_with_the_outcome_and_repeats_no_line(builder: str, mirror: str) -> None:
    answer = build(builder, scratch_image(f"{mirror}/live/stream:1"), accept=NDJSON)
    *running, final = answer.lines
    assert {line["status"] for line in running} == {"in_progress"}
    assert final["status"] == "success"
    assert final["log"] == []
    assert any("COPY . /" in entry for entry in answer.log)


def test_skip_push_builds_and_pushes_nothing(builder: str, mirror: str) -> None:
    request = Request(
        {"Dockerfile": "FROM scratch\nCOPY . /\n"}, f"{mirror}/live/unpushed:1", {"skipPush": True}
    )
    answer = build(builder, request)
    assert answer.document["status"] == "success"
    assert "digest" not in answer.document
    assert not any("pushing" in entry for entry in answer.log)


def test_build_arguments_and_platforms_reach_the_build(builder: str) -> None:
    dockerfile = (
        "FROM debian:trixie-slim\nARG WHO\nARG TARGETPLATFORM\nRUN echo $WHO on $TARGETPLATFORM\n"
    )
    config = {"buildArgs": {"WHO": "somebody"}, "platforms": [" linux/amd64 "], "skipPush": True}
    answer = build(builder, Request({"Dockerfile": dockerfile}, config=config))
    assert any(entry.endswith("somebody on linux/amd64") for entry in answer.log)


def test_same_size_and_time_but_other_content_is_built_again(builder: str) -> None:
    dockerfile = "FROM debian:trixie-slim\nCOPY word /\nRUN echo word=$(cat /word)\n"
    for word in ("one", "two", "one", "six"):
        request = Request(
            {"Dockerfile": dockerfile, "word": word}, "live/stale:1", {"skipPush": True}
        )
        log = "\n".join(build(builder, request).log)
        assert f"word={word}" in log or "CACHED" in log
        assert not any(f"word={other}" in log for other in ("one", "two", "six") if other != word)


def test_stale_content_never_reaches_the_image(builder: str, mirror: str) -> None:
    digests: dict[str, str] = {}
    for word in ("one", "two", "one"):
        files = {"Dockerfile": "FROM scratch\nCOPY word /\n", "word": word}
        digest = build(builder, Request(files, f"{mirror}/live/stale:1")).document["digest"]
        assert digests.setdefault(word, digest) == digest
    assert digests["one"] != digests["two"]


def test_a_thousand_lines_at_full_speed_arrive_in_order(builder: str) -> None:
    answer = build(builder, running(LOOP), accept=NDJSON)
    words = [entry.split()[-1] for entry in answer.log if "line-" in entry and "RUN" not in entry]
    assert words == [f"line-{n}" for n in range(1, 1001)]


def test_a_line_of_300_kib_arrives_whole(builder: str) -> None:
    command = "head -c 307200 /dev/zero | tr '\\0' x"
    single = build(builder, running(command)).document
    assert max(map(len, single["log"])) >= 307_200
    stream = build(builder, running(command), accept=NDJSON)
    assert sum(entry.count("x") for entry in stream.log) >= 307_200
    assert max(map(len, stream.body.splitlines())) < 64 * 1024


def test_builds_run_side_by_side(builder: str) -> None:
    """Let each wait for what only the other does: a file in a cache that both mount."""
    meeting = "--mount=type=cache,target=/meet,id=meet-{}"
    answers: list[Answer] = []
    name = os.urandom(4).hex()

    def run(mine: str, other: str) -> None:
        look = f"[ -e /meet/{other} ] && exit 0; sleep 0.1"
        wait = f"touch /meet/{mine}; for i in $(seq 100); do {look}; done; exit 1"
        dockerfile = f"FROM debian:trixie-slim\nRUN {meeting.format(name)} {wait}\n"
        answers.append(
            build(builder, Request({"Dockerfile": dockerfile}, config={"skipPush": True}))
        )

    threads = [threading.Thread(target=run, args=pair) for pair in (("a", "b"), ("b", "a"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [answer.status for answer in answers] == [200, 200]


def scratch_image(image: str) -> Request:
    return Request({"Dockerfile": "FROM scratch\nCOPY . /\n", "a": "a"}, image)


def running(command: str) -> Request:
    """Return a build that runs *command*, never from the cache."""
    dockerfile = f"FROM debian:trixie-slim\nARG ONCE={os.urandom(8).hex()}\nRUN {command} # $ONCE\n"
    return Request({"Dockerfile": dockerfile}, config={"skipPush": True})
