"""Functions that call the builder, as in scripts/samples: through the real gateway and the real queue."""

from __future__ import annotations

import json
import os
import shutil
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from build_client.context import archive, overlay
from stack.daemons import function
from stack.images.registry_client import RegistryClient
from stack.openfaas import openfaas as openfaas_stack

from ..parts import container
from .caller import SECRET, Answer, post, signature
from .waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from stack.daemons.function import Function
    from stack.machine import Machine
    from stack.openfaas.openfaas import OpenFaaS

    StartSample = Callable[[str, OpenFaaS, Path], AbstractContextManager[function.Function]]

REPOSITORY = Path(__file__).parents[2]
SAMPLES = Path("scripts", "samples")
DEPLOYMENTS = yaml.safe_load((REPOSITORY / SAMPLES / "stack.yml").read_text())["functions"]
FOLDER = "live/called"
BUILD_SECONDS = 60.0

PASSWORD = os.urandom(16).hex()


@dataclass(frozen=True)
class Scene:
    """The builder and the samples behind a gateway that deploys only for callers that know its password."""

    openfaas: OpenFaaS
    built: Function
    registry: str

    def call(self, name: str, body: bytes, query: str = "", **headers: str) -> Answer:
        return post(self.openfaas.url, body, headers, path=f"/function/{name}{query}")

    def deployed(self, service: str) -> list[str]:
        """Return the images that were asked for, oldest first."""
        asked = self.openfaas.deployments()
        return [each["image"] for each in asked if each["service"] == service]


@pytest.fixture(scope="module")
def start_sample(machine: Machine, mirror: str) -> StartSample:
    """Start functions: `start_sample(name, openfaas, secrets_folder)`."""

    def start(
        name: str, openfaas: OpenFaaS, secrets: Path
    ) -> AbstractContextManager[function.Function]:
        settings = {
            "gateway_url": openfaas.url,
            "registry": f"{mirror}/{FOLDER}",
            "secret_mount_path": str(secrets),
        }
        return function.start(machine, settings=settings, handler=SAMPLES / name)

    return start


@pytest.fixture(scope="module")
def scene(
    machine: Machine, start_sample: StartSample, builder: str, mirror: str
) -> Iterator[Scene]:
    with ExitStack() as started:
        secrets = started.enter_context(mounted(machine, PASSWORD))
        protected = {"basic_auth": "true", "secret_mount_path": str(secrets)}
        openfaas = started.enter_context(openfaas_stack.start(machine, gateway_settings=protected))
        openfaas.register("builder-fn", [builder])
        samples = {}
        for name in ("caller", "caller-async", "built"):
            samples[name] = started.enter_context(start_sample(name, openfaas, secrets))
            openfaas.register(name, [samples[name].url])
        yield Scene(openfaas, samples["built"], mirror)


@pytest.fixture
def service() -> str:
    """Return a name that no other test gives to a function."""
    return f"hello-{os.urandom(4).hex()}"


def test_a_function_builds_and_deploys_another(
    scene: Scene, service: str, machine: Machine
) -> None:
    answer = scene.call("caller", handler(f"I am {service}"), f"?name={service}")

    assert answer.status == 200, answer.body
    (image,) = scene.deployed(service)
    assert answer.body.decode() == f"{service} is deployed: {image}\n"
    assert said_by(image, scene, machine) == f"I am {service}"


def test_a_function_that_was_deployed_before_is_updated(scene: Scene, service: str) -> None:
    for text in ("one", "two"):
        assert scene.call("caller", handler(text), f"?name={service}").status == 200

    first, second = scene.deployed(service)
    assert first != second


def test_a_handler_that_does_not_compile_is_not_deployed(scene: Scene, service: str) -> None:
    answer = scene.call("caller", b"def handle(:\n", f"?name={service}")

    assert answer.status == 422
    assert answer.headers["Content-Type"].startswith("application/json")
    assert "SyntaxError" in "\n".join(answer.document["failedStep"]["output"])
    assert scene.deployed(service) == []


def test_a_gateway_that_refuses_to_deploy_is_quoted(
    scene: Scene, service: str, machine: Machine, start_sample: StartSample
) -> None:
    with (
        mounted(machine, "a guess") as secrets,
        start_sample("caller", scene.openfaas, secrets) as stranger,
    ):
        answer = post(stranger.url, handler("hello"), {}, path=f"/?name={service}")

    assert answer.status == 502
    assert answer.body.startswith(b"OpenFaaS does not deploy it: invalid credentials")
    assert scene.deployed(service) == []


def test_a_function_has_another_built_and_is_called_back(
    scene: Scene, service: str, machine: Machine
) -> None:
    answer = scene.call("caller-async", handler(f"I am {service}"), f"?name={service}")

    assert (answer.status, answer.body) == (202, b"")
    assert answer.headers["X-Call-Id"]
    wait_until(lambda: bool(scene.deployed(service)), BUILD_SECONDS)
    (image,) = scene.deployed(service)
    assert said_by(image, scene, machine) == f"I am {service}"
    wait_until(lambda: f"{service} is deployed: {image}" in scene.built.daemon.log.read_text())


def test_the_callback_is_told_of_a_failed_build(scene: Scene, service: str) -> None:
    assert scene.call("caller-async", b"def handle(:\n", f"?name={service}").status == 202

    told = f"{service}:latest was not built: "
    wait_until(lambda: told in scene.built.daemon.log.read_text(), BUILD_SECONDS)
    assert scene.deployed(service) == []


def test_the_callback_believes_what_the_builder_signed(scene: Scene, service: str) -> None:
    body = result(scene, service)

    answer = scene.call("built", body, **{"X-Build-Result-Signature": signature(body)})

    assert answer.status == 200
    assert scene.deployed(service) == [f"{scene.registry}/{FOLDER}/{service}@sha256:0"]


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"X-Build-Result-Signature": signature(b"{}")}, id="another body"),
        pytest.param({"X-Build-Result-Signature": "é"}, id="no signature"),
    ],
)
def test_the_callback_refuses_what_was_not_signed(
    scene: Scene, service: str, headers: dict[str, str]
) -> None:
    assert scene.call("built", result(scene, service), **headers).status == 401
    assert scene.deployed(service) == []


def test_the_callback_refuses_what_was_signed_with_another_secret(
    scene: Scene, service: str
) -> None:
    body = result(scene, service)
    forged = {"X-Build-Result-Signature": signature(body, b"a guess")}

    assert scene.call("built", body, **forged).status == 401
    assert scene.deployed(service) == []


def test_the_callback_refuses_what_is_older_than_what_is_deployed(
    scene: Scene, service: str
) -> None:
    first, second = result(scene, service), result(scene, service, digest="sha256:1", created=2.5)

    def called_back(body: bytes) -> int:
        return scene.call("built", body, **{"X-Build-Result-Signature": signature(body)}).status

    assert [called_back(body) for body in (first, second)] == [200, 200]
    assert [called_back(body) for body in (first, second)] == [409, 409]
    assert len(scene.deployed(service)) == 2


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_each_sample_is_built_as_its_stack_yml_says(builder: str, name: str) -> None:
    deployment = DEPLOYMENTS[name]
    template = REPOSITORY / "template" / deployment["lang"]
    source = overlay(template, REPOSITORY / deployment["handler"])
    config = archive.build_config({"image": f"{FOLDER}/{name}:1", "skipPush": True})

    answer = post(builder, archive.tar(source, config), {})

    assert answer.status == 200, answer.document["error"]


@contextmanager
def mounted(machine: Machine, password: str) -> Iterator[Path]:
    """Yield a folder with the secrets that OpenFaaS mounts."""
    folder = machine.account.own(machine.account.scratch(machine.paths, "secrets"), 0o755)
    (folder / "payload-secret").write_bytes(SECRET + b"\n")
    (folder / "basic-auth-user").write_text("admin")
    (folder / "basic-auth-password").write_text(password)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def handler(text: str) -> bytes:
    return f"def handle(event, context):\n    return {text!r}\n".encode()


def result(scene: Scene, service: str, *, digest: str = "sha256:0", created: float = 1.5) -> bytes:
    """Return what the builder might say, as might anything else that can reach the gateway."""
    name = f"{scene.registry}/{FOLDER}/{service}"
    document: dict[str, Any] = {
        "status": "success",
        "image": f"{name}:latest",
        "imageRef": f"{name}@{digest}",
        "created": created,
    }
    return json.dumps(document).encode()


def said_by(image: str, scene: Scene, machine: Machine) -> str:
    name = image.removeprefix(f"{scene.registry}/")
    with container.run(machine, RegistryClient(scene.registry), name) as running:
        status, body = running.call(b"")
    assert status == 200
    return body.decode()
