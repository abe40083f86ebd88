"""Answers: what they say of the image, and of what happened on the way to it."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from typing import Any

from .caller import NDJSON, Answer, Request, build, documents, stream
from .waiting import wait_until

MANIFESTS = (
    "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json, "
    "application/vnd.docker.distribution.manifest.v2+json"
)
WITHOUT_PUSH = {"skipPush": True}
STAGES = (
    "FROM debian:trixie-slim AS build\nRUN echo {} > /a\nFROM scratch\nCOPY --from=build /a /\n"
)


def once() -> str:
    """Return what no earlier build has seen, so that none of its steps is cached."""
    return os.urandom(8).hex()


def manifest(image_ref: str) -> bytes:
    """Return what the registry has under a name like host:port/repository@digest."""
    name, _, digest = image_ref.partition("@")
    host, _, repository = name.partition("/")
    url = f"http://{host}/v2/{repository}/manifests/{digest}"
    request = urllib.request.Request(url, headers={"Accept": MANIFESTS})
    with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310 - its own "http:"
        document: bytes = response.read()
    return document


def blobs(image_ref: str) -> dict[str, int]:
    """Return the size of all that belongs to an image, by digest."""
    name, _, digest = image_ref.partition("@")
    document = manifest(image_ref)
    sizes = {digest: len(document)}
    fields = json.loads(document)
    for entry in fields.get("manifests", []):
        sizes |= blobs(f"{name}@{entry['digest']}")
    for blob in (*fields.get("layers", []), *filter(None, [fields.get("config")])):
        sizes[blob["digest"]] = blob["size"]
    return sizes


def steps(answer: Answer) -> dict[str, dict[str, Any]]:
    """Return the Dockerfile's steps, by their instructions."""
    entries = answer.document["steps"]
    return {
        step["name"].partition("] ")[2]: step for step in entries if step["stage"] != "internal"
    }


def test_an_image_can_be_had_by_the_reference_in_the_answer(builder: str, mirror: str) -> None:
    files = {"Dockerfile": "FROM debian:trixie-slim\nCOPY a /\n", "a": once()}
    document = build(builder, Request(files, f"{mirror}/answers/one:1.0")).document

    assert document["imageRef"] == f"{mirror}/answers/one@{document['digest']}"
    assert document["size"] == sum(blobs(document["imageRef"]).values())
    assert document["platforms"] == ["linux/amd64"]


def test_a_name_without_a_tag_is_referred_to_as_well(builder: str, mirror: str) -> None:
    files = {"Dockerfile": "FROM scratch\nCOPY a /\n", "a": "a"}
    document = build(builder, Request(files, f"{mirror}/answers/untagged")).document

    assert document["imageRef"] == f"{mirror}/answers/untagged@{document['digest']}"


def test_an_image_of_several_platforms_is_all_of_them(builder: str, mirror: str) -> None:
    files = {"Dockerfile": "FROM debian:trixie-slim\nCOPY a /\n", "a": once()}
    platforms = ["linux/amd64", "linux/arm64"]
    request = Request(files, f"{mirror}/answers/index:1", {"platforms": platforms})
    document = build(builder, request).document

    assert document["platforms"] == platforms
    assert document["size"] == sum(blobs(document["imageRef"]).values())


def test_one_other_platform_is_named(builder: str, mirror: str) -> None:
    files = {"Dockerfile": "FROM debian:trixie-slim\nCOPY a /\n", "a": once()}
    request = Request(files, f"{mirror}/answers/arm:1", {"platforms": ["linux/arm64"]})

    assert build(builder, request).document["platforms"] == ["linux/arm64"]


def test_every_name_has_been_pushed_when_the_answer_comes(builder: str, mirror: str) -> None:
    files = {"Dockerfile": "FROM scratch\nCOPY a /\n", "a": once()}
    tags = [f"{mirror}/answers/tag-{number}:{once()}" for number in range(5)]
    request = Request(files, f"{mirror}/answers/tags:1", {"tags": tags})
    digest = build(builder, request).document["digest"]

    for tag in tags:
        assert manifest(tag.rpartition(":")[0] + f"@{tag.rpartition(':')[2]}") == manifest(
            f"{mirror}/answers/tags@{digest}"
        )


def test_what_is_not_pushed_has_no_reference_or_size(builder: str) -> None:
    document = build(
        builder, Request({"Dockerfile": "FROM scratch\n"}, config=WITHOUT_PUSH)
    ).document

    assert document["status"] == "success"
    assert document.keys() & {"digest", "imageRef", "size", "platforms"} == set()


def test_steps_say_which_came_from_the_cache(builder: str, mirror: str) -> None:
    files = {"Dockerfile": STAGES.format(once())}
    first, second = (build(builder, Request(files, f"{mirror}/answers/cache:1")) for _ in range(2))

    cached = [
        [step["cached"] for name, step in steps(answer).items() if "FROM" not in name]
        for answer in (first, second)
    ]
    assert cached == [[False, False], [True, True]]
    assert [answer.document["cacheHits"] for answer in (first, second)] == [0, 2]


def test_steps_belong_to_the_dockerfiles_stages(builder: str, mirror: str) -> None:
    request = Request({"Dockerfile": STAGES.format(once())}, f"{mirror}/answers/stages:1")
    answer = build(builder, request)

    stages = {step["name"]: step["stage"] for step in answer.document["steps"]}
    assert [stage for name, stage in stages.items() if "RUN echo" in name] == ["build"]
    assert [stage for name, stage in stages.items() if "COPY --from" in name] == ["stage-1"]
    assert stages["exporting to image"] == "internal"
    assert stages["[internal] load build definition from Dockerfile"] == "internal"
    assert all(step["duration"] >= 0 for step in answer.document["steps"])


def test_steps_are_in_the_order_of_the_log(builder: str) -> None:
    request = Request({"Dockerfile": STAGES.format(once())}, config=WITHOUT_PUSH)
    answer = build(builder, request)

    titles = [entry.partition(" ")[2] for entry in answer.log]
    places = [titles.index(step["name"]) for step in answer.document["steps"]]
    assert places == sorted(places)


def test_a_failed_builds_steps_say_which_failed(builder: str) -> None:
    dockerfile = f"FROM debian:trixie-slim\nRUN : {once()}\nRUN exit 3\nRUN echo never\n"
    answer = build(builder, Request({"Dockerfile": dockerfile}, config=WITHOUT_PUSH))

    failed = steps(answer)["RUN exit 3"]
    assert answer.document["failedStep"]["name"] == failed["name"]
    assert failed["error"].endswith("exit code: 3")
    assert [name for name, step in steps(answer).items() if "error" in step] == ["RUN exit 3"]
    assert "RUN echo never" not in steps(answer)


def test_a_silent_step_that_is_cut_off_has_taken_until_then(builder: str) -> None:
    dockerfile = f'FROM debian:trixie-slim\nENV A={once()}\nRUN ["sleep", "60"]\n'
    config = {**WITHOUT_PUSH, "timeout": "8s"}
    answer = build(builder, Request({"Dockerfile": dockerfile}, config=config))

    assert answer.document["reason"] == "build_timed_out"
    assert 0 < steps(answer)['RUN ["sleep", "60"]']["duration"] <= answer.document["duration"]


def test_the_linters_warnings_say_where(builder: str) -> None:
    dockerfile = (
        "FROM debian:trixie-slim as one\n"
        "MAINTAINER somebody\n"
        "ENV SECRET_TOKEN=abc\n"
        "CMD echo hi\n"
        f"RUN : {once()}\n"
    )
    request = Request(
        {"docker/prod": dockerfile}, config={**WITHOUT_PUSH, "dockerfile": "docker/prod"}
    )
    for answer in (build(builder, request), build(builder, request)):  # the second is all cached
        warnings = answer.document["warnings"]
        assert {(entry["message"].partition(":")[0], entry["line"]) for entry in warnings} == {
            ("FromAsCasing", 1),
            ("MaintainerDeprecated", 2),
            ("SecretsUsedInArgOrEnv", 3),
            ("JSONArgsRecommended", 4),
        }
        assert {entry["file"] for entry in warnings} == {"docker/prod"}
        assert all(entry["url"].startswith("https://") for entry in warnings)
        assert sum("WARN: MaintainerDeprecated" in entry for entry in answer.log) == 1


def test_each_warning_comes_once_for_all_platforms(builder: str) -> None:
    files = {"Dockerfile": "FROM scratch\nMAINTAINER somebody\nCOPY a /\n", "a": once()}
    config = {**WITHOUT_PUSH, "platforms": ["linux/amd64", "linux/arm64"]}
    [warning] = build(builder, Request(files, config=config)).document["warnings"]

    assert warning["message"].startswith("MaintainerDeprecated")


def test_a_build_of_many_long_steps_still_ends_its_stream_with_a_line(builder: str) -> None:
    target = "/".join("\u00fc" * 60 for _ in range(4))
    copies = (f"COPY a /{target}/{number}" for number in range(110))
    files = {"Dockerfile": "\n".join(["FROM scratch", *copies]), "a": "a"}
    answer = build(builder, Request(files, config=WITHOUT_PUSH), accept=NDJSON)

    assert max(map(len, answer.body.splitlines())) < 64 * 1024
    assert answer.document["status"] == "success"
    shown = answer.document["steps"]
    assert answer.document["stepsOmitted"] > 0
    assert len(shown) + answer.document["stepsOmitted"] > 110
    assert shown[-1]["name"].startswith("[110/110] COPY a ")


def is_there(image: str) -> bool:
    host, _, rest = image.partition("/")
    try:
        return bool(manifest(f"{host}/{rest.replace(':', '@')}"))
    except urllib.error.HTTPError:
        return False


def test_a_caller_that_reads_once_the_image_is_there_gets_the_whole_log(
    builder: str, mirror: str
) -> None:
    """The daemon tells such a one in many messages, the end of the push in the first of them."""
    image = f"{mirror}/slow:{once()}"
    steps = f"RUN yes {'y' * 99} | head -c 30000000 # {once()}\n"
    request = Request({"Dockerfile": f"FROM debian:trixie-slim\n{steps}"}, image)
    with stream(builder, request) as response:
        wait_until(lambda: is_there(image))
        told = list(documents(response))

    assert told[-1]["status"] == "success"
    lines = [line for document in told for line in document["log"]]
    assert sum(line.endswith("y" * 99) for line in lines) == 300_000
