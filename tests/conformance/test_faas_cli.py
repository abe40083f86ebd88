"""OpenFaaS' own command line, when it is on PATH: publish, up and build with a remote builder; invoke."""

from __future__ import annotations

import base64
import json
import shutil
from dataclasses import replace
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING

import pytest
from nacl.public import PrivateKey
from stack.paths import REPOSITORY

from .errand import BUILDS, LANGUAGE, needs_secret, pauses
from .rows import conforms
from .table import Address, Case, Row, Trial

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stack.openfaas.openfaas import OpenFaaS

    from .conftest import Send
    from .errand import Errand, Printed

# With --remote-builder it drops the path of a URL, so that it comes through no gateway.
PUBLISH = Row(
    client="faas-cli",
    call="publish --remote-builder",
    success="success building and pushing image: {image}",
    failed_build="exit 3 failed (Dockerfile:2)",
    wrong_key="X-Build-Signature does not match the body",
    wrong_password="was given no credentials, or not the right ones",
    addresses=(Address.FUNCTION,),
)
BUILD = replace(PUBLISH, call="build, OPENFAAS_REMOTE_BUILDER")
UP = replace(PUBLISH, call="up --skip-deploy --remote-builder")
UP_PUBLISH = replace(PUBLISH, call="up --publish --skip-deploy --remote-builder")
PARALLEL = replace(PUBLISH, call="publish --parallel 4, four functions")
SECRETS = replace(PUBLISH, call="publish, build_secrets")
PUBLIC_KEY = replace(PUBLISH, call="publish --builder-public-key, build_secrets")
TEMPLATE = Row(
    client="faas-cli",
    call="publish, lang: python3-http",
    success="success building and pushing image: {image}",
    addresses=(Address.FUNCTION,),
)

DEPLOY = replace(PUBLISH, call="up --publish --remote-builder")
# Which knows the function by its name at the gateway, and nothing below its root.
INVOKE = Row(
    client="faas-cli",
    call="invoke builder-fn --sign X-Build-Signature",
    success='"imageName": "{image}"',
    failed_build="unexpected status code: 422",
    wrong_key="unexpected status code: 401",
    wrong_password="unexpected status code: 422",
    addresses=(Address.GATEWAY,),
)
OPERATIONS = {
    "publickey": '"algorithm": "nacl/box"',
    "ready": '"status": "ready"',
    "healthz": '"status": "ok"',
    "metrics": "# TYPE builder_fn_builds_total counter",
}
QUERIES = [
    Row(
        client="faas-cli",
        call=f"invoke builder-fn --query op={operation}",
        success=shown,
        addresses=(Address.GATEWAY,),
    )
    for operation, shown in OPERATIONS.items()
]

SECRET = f"a token for faas-cli {token_hex(8)}\n"


@pytest.fixture(scope="session")
def faas_cli() -> Path:
    found = shutil.which("faas-cli")
    if found is None:
        pytest.skip("faas-cli is not on PATH")
    return Path(found)


@conforms(PUBLISH, UP, UP_PUBLISH)
def test_remote_builder(trial: Trial, send: Send, faas_cli: Path) -> None:
    errand = send(trial)
    describe(errand)
    command = trial.row.call.removesuffix(" --remote-builder").split()
    printed = errand.run(faas_cli, *command, *remote(errand))
    assert_told(errand, printed)


def test_the_log_is_live(send: Send, faas_cli: Path) -> None:
    errand = send(Trial(PUBLISH, Case.SUCCESS, Address.FUNCTION), builds=pauses())
    describe(errand)
    errand.assert_live(faas_cli, "publish", *remote(errand))


@conforms(BUILD)
def test_remote_builder_of_the_environment(trial: Trial, send: Send, faas_cli: Path) -> None:
    errand = send(trial)
    describe(errand)
    environment = {
        "OPENFAAS_REMOTE_BUILDER": errand.url,
        "OPENFAAS_PAYLOAD_SECRET": str(errand.payload_secret),
    }
    printed = errand.run(faas_cli, "build", environment=environment)
    assert_told(errand, printed)


@conforms(PARALLEL)
def test_several_functions_at_once(trial: Trial, send: Send, faas_cli: Path, mirror: str) -> None:
    errand = send(trial)
    errand.add_template(errand.folder / "template" / "other", BUILDS)
    others = {
        f"other{number}": function("other", f"{mirror}/conformance/other{number}:1")
        for number in range(3)
    }
    describe(errand, **others)
    printed = errand.run(faas_cli, "publish", "--parallel", "4", *remote(errand))
    assert_told(errand, printed)
    # The key is everyone's; the Dockerfile and the registry that fail are one function's alone.
    succeeded = {Case.SUCCESS: 4, Case.WRONG_KEY: 0}.get(trial.case, 3)
    assert printed.text.count("success building and pushing image") == succeeded


@conforms(SECRETS, PUBLIC_KEY)
def test_build_secrets(trial: Trial, send: Send, faas_cli: Path, secrets: Path) -> None:
    errand = send(trial, builds=needs_secret(SECRET))
    (errand.folder / "token.txt").write_text(SECRET)
    described = function(LANGUAGE, errand.image) | {"build_secrets": {"token": "token.txt"}}
    describe(errand, hello=described)
    private = PrivateKey(base64.b64decode((secrets / "build-secrets-key").read_bytes()))
    public = base64.b64encode(bytes(private.public_key)).decode()
    more = ["--builder-public-key", public] if trial.row is PUBLIC_KEY else []
    printed = errand.run(faas_cli, "publish", *more, *remote(errand))
    assert_told(errand, printed)
    assert SECRET.strip() not in printed.text


@conforms(TEMPLATE)
def test_a_function_of_our_template(trial: Trial, send: Send, faas_cli: Path) -> None:
    errand = send(trial)
    source = REPOSITORY / "template" / "python3-http"
    template = errand.folder / "template" / "python3-http"
    shutil.copytree(source, template, ignore=shutil.ignore_patterns("__pycache__"))
    hello = function("python3-http", errand.image) | {"handler": "./template/python3-http/function"}
    describe(errand, hello=hello)
    printed = errand.run(faas_cli, "publish", *remote(errand))
    assert_told(errand, printed)


@conforms(DEPLOY)
def test_up_deploys_what_was_built(
    trial: Trial, send: Send, faas_cli: Path, openfaas: OpenFaaS
) -> None:
    errand = send(trial)
    describe(errand)
    command = ["up", "--publish", "--gateway", openfaas.url]
    printed = errand.run(faas_cli, *command, *remote(errand))
    assert_told(errand, printed)
    deployed = [each["image"] for each in openfaas.deployments()]
    assert (errand.image in deployed) == (trial.case is Case.SUCCESS)


@conforms(INVOKE)
def test_invoke(trial: Trial, send: Send, faas_cli: Path, openfaas: OpenFaaS) -> None:
    errand = send(trial)
    printed = errand.shell(
        f"tar c -C build . > req.tar; {faas_cli} invoke builder-fn --gateway {openfaas.url} "
        '--sign X-Build-Signature --key "$(cat payload.txt)" < req.tar'
    )
    errand.assert_shows(printed)
    assert printed.exit_code == (0 if trial.case is Case.SUCCESS else 1)


@conforms(*QUERIES)
def test_invoke_reaches_every_operation(
    trial: Trial, send: Send, faas_cli: Path, openfaas: OpenFaaS
) -> None:
    """Expect one operation at "/": below a function's name faas-cli names no path, and it posts."""
    errand = send(trial)
    printed = errand.run(faas_cli, *trial.row.call.split(), "--gateway", openfaas.url)
    assert printed.exit_code == 0
    assert trial.shows in printed.out


def function(language: str, image: str) -> dict[str, object]:
    return {"lang": language, "handler": "./hello", "image": image}


def describe(errand: Errand, **more: Mapping[str, object]) -> None:
    """Write the stack.yml of the function `hello`, and others."""
    document = {
        "version": "1.0",
        "provider": {"name": "openfaas", "gateway": "http://127.0.0.1:8080"},
        "functions": {"hello": function(LANGUAGE, errand.image), **more},
    }
    # JSON is YAML, which is what faas-cli reads.
    (errand.folder / "stack.yml").write_text(json.dumps(document))


def remote(errand: Errand) -> list[str]:
    secret = str(errand.payload_secret)
    return ["--remote-builder", errand.url, "--payload-secret", secret]


def assert_told(errand: Errand, printed: Printed) -> None:
    case = errand.trial.case
    errand.assert_shows(printed)
    assert printed.exit_code == (0 if case is Case.SUCCESS else 1)
    if case is not Case.WRONG_KEY:
        assert "[internal] load build definition" in printed.out
