"""Options that a request can have beyond an image: each of them, as the daemon takes it."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from stack.images.registry_client import RegistryClient

from .caller import Request, build

if TYPE_CHECKING:
    from .conftest import StartFunction

SCRATCH = {"Dockerfile": "FROM scratch\nCOPY . /\n", "a": "a"}
STAGES = {
    "Dockerfile": (
        "FROM debian:trixie-slim AS base\n"
        "FROM base AS test\nRUN echo tested && exit 4\n"
        "FROM base AS ship\nRUN echo shipped\n"
    )
}
FAILING = Request({"Dockerfile": "FROM scratch\nCOPY missing /\n"}, config={"skipPush": True})


def config_of(mirror: str, repository: str, tag: str, architecture: str = "amd64") -> Any:
    document = json.loads(RegistryClient(mirror).image(repository, tag, architecture).config)
    return document["config"]


def test_a_stage_can_be_built_alone(builder: str) -> None:
    without_push = {"skipPush": True}
    shipped = build(builder, Request(STAGES, config=without_push))
    tested = build(builder, Request(STAGES, config={**without_push, "target": "test"}))

    assert shipped.status == 200
    assert (tested.status, tested.document["failedStep"]["line"]) == (422, 3)
    assert any("tested" in entry for entry in tested.log)


def test_a_stage_that_is_not_there_is_named(builder: str) -> None:
    answer = build(builder, Request(STAGES, config={"skipPush": True, "target": "tset"}))

    assert answer.status == 422
    assert "tset" in answer.document["error"]


def test_labels_are_in_the_images_config(builder: str, mirror: str) -> None:
    labels = {"org.opencontainers.image.revision": "abc", "empty": "", "with space": 'a "b"=c'}
    answer = build(builder, Request(SCRATCH, f"{mirror}/options/labels:1", {"labels": labels}))

    assert answer.status == 200, answer.document
    assert config_of(mirror, "options/labels", "1")["Labels"] == labels


def test_one_image_is_pushed_under_all_its_names(builder: str, mirror: str) -> None:
    tags = ["latest", f"{mirror}/options/elsewhere:2"]
    answer = build(builder, Request(SCRATCH, f"{mirror}/options/tags:1", {"tags": tags}))

    assert answer.status == 200, answer.document
    client = RegistryClient(mirror)
    names = [("options/tags", "1"), ("options/tags", "latest"), ("options/elsewhere", "2")]
    digests = {client.image(repository, tag, "amd64").digest for repository, tag in names}
    assert digests == {answer.document["digest"]}


def test_a_name_that_cannot_be_pushed_fails_the_build(builder: str, mirror: str) -> None:
    config = {"tags": ["nobody.invalid/options/tags:1"]}
    answer = build(builder, Request(SCRATCH, f"{mirror}/options/tags:2", config))

    assert (answer.status, answer.document["reason"]) == (422, "build_failed")
    assert "nobody.invalid" in answer.document["error"]


def test_the_dockerfile_may_be_another(builder: str, mirror: str) -> None:
    files = {
        "Dockerfile": "FROM scratch\nCOPY missing /\n",
        "docker/prod.Dockerfile": "FROM scratch\nLABEL from=prod\nCOPY . /\n",
        "docker/prod.Dockerfile.dockerignore": "Dockerfile\n",
    }
    config = {"dockerfile": "docker/prod.Dockerfile"}
    answer = build(builder, Request(files, f"{mirror}/options/dockerfile:1", config))

    assert answer.status == 200, answer.document
    assert config_of(mirror, "options/dockerfile", "1")["Labels"] == {"from": "prod"}


def test_another_dockerfile_fails_with_its_own_name_and_line(builder: str) -> None:
    files = {"docker/prod": "FROM scratch\nCOPY missing /\n"}
    config = {"dockerfile": "docker/prod", "skipPush": True}
    answer = build(builder, Request(files, config=config))

    assert answer.document["failedStep"]["file"] == "docker/prod"
    assert answer.document["failedStep"]["line"] == 2


def test_without_cache_every_step_runs_again(builder: str) -> None:
    files = {"Dockerfile": f"FROM debian:trixie-slim\nRUN echo it ran && : {time.time_ns()}\n"}
    ran = []
    for no_cache in (False, False, True):
        answer = build(builder, Request(files, config={"skipPush": True, "noCache": no_cache}))
        ran.append(any(entry.endswith(" it ran") for entry in answer.log))

    assert ran == [True, False, True]


def test_a_base_image_is_asked_for_again(builder: str) -> None:
    files = {"Dockerfile": "FROM debian:trixie-slim\n"}
    answer = build(builder, Request(files, config={"skipPush": True, "pull": True}))

    assert answer.status == 200, answer.document


def test_a_build_may_be_given_less_time_than_the_builder_allows(builder: str) -> None:
    files = {"Dockerfile": 'FROM debian:trixie-slim\nRUN ["sleep", "60"]\n'}
    answer = build(builder, Request(files, config={"skipPush": True, "timeout": "2s"}))

    assert (answer.status, answer.document["reason"]) == (422, "build_timed_out")
    assert "took longer than 2 s" in answer.document["error"]
    assert "raise its timeout" in answer.document["error"]


def test_a_build_gets_no_more_time_than_the_builder_allows(
    start_function: StartFunction, shared_daemon: str
) -> None:
    files = {"Dockerfile": 'FROM debian:trixie-slim\nRUN ["sleep", "60"]\n'}
    with start_function(shared_daemon, build_timeout="2s") as function:
        answer = build(function.url, Request(files, config={"skipPush": True, "timeout": "1h"}))

    assert answer.document["reason"] == "build_timed_out"
    [warning] = answer.document["warnings"]
    assert "timeout" in warning["message"]
    assert "2 s" in warning["message"]


def test_several_platforms_are_one_index(builder: str, mirror: str) -> None:
    platforms = ["linux/amd64", "linux/arm64"]
    request = Request(SCRATCH, f"{mirror}/options/platforms:1", {"platforms": platforms})
    answer = build(builder, request)

    assert answer.status == 200, answer.document
    client = RegistryClient(mirror)
    for architecture in ("amd64", "arm64"):
        image = client.image("options/platforms", "1", architecture)
        assert image.digest == answer.document["digest"]
        assert json.loads(image.config)["architecture"] == architecture
    assert sorted(answer.document["platforms"]) == platforms


def test_options_may_be_committed_with_the_function(builder: str) -> None:
    """Send options as faas-cli does: what it sends of a handler's folder lies below function/."""
    options = {"target": "test", "labels": {"a": "1"}}
    files = {**STAGES, "function/builder-fn.json": json.dumps(options)}
    answer = build(builder, Request(files, config={"skipPush": True}))

    assert (answer.status, answer.document["failedStep"]["line"]) == (422, 3)


def test_a_misspelt_option_is_hinted_at_and_builds(builder: str) -> None:
    answer = build(builder, Request(SCRATCH, config={"skipPush": True, "tragte": 1, "label": {}}))

    assert answer.status == 200
    messages = [warning["message"] for warning in answer.document["warnings"]]
    assert '"label" in com.openfaas.docker.config means nothing; did you mean "labels"?' in messages
    assert any('did you mean "labels"' in entry for entry in answer.log)


@pytest.mark.parametrize(("path", "status"), [("/build", 422), ("/build?failed=200", 200)])
def test_a_failed_build_may_be_answered_with_200(builder: str, path: str, status: int) -> None:
    answer = build(builder, FAILING, path=path)

    assert (answer.status, answer.document["status"]) == (status, "failed")
    assert answer.document["reason"] == "build_failed"


def test_the_operator_may_answer_all_failed_builds_with_200(
    start_function: StartFunction, shared_daemon: str
) -> None:
    with start_function(shared_daemon, failed_status="200") as function:
        assert build(function.url, FAILING).status == 200
        assert build(function.url, FAILING, path="/?failed=422").status == 422
        unsigned = build(function.url, Request(SCRATCH, image="not an image name"))
    assert unsigned.status == 400
