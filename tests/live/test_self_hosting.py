"""The builder builds its own image, and that image, run as OpenFaaS runs it, builds images."""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import shutil
import tarfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from build_client.context import archive, overlay
from stack.images import base_images
from stack.images.registry_client import Image, RegistryClient

from ..parts import container
from . import traces
from .caller import SECRET, post, signature
from .relay import Relay
from .sealing import KeyPair, SealedRequest
from .traces import Needle

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from stack.machine import Machine

    from ..parts.container import Container

REPOSITORY = Path(__file__).parents[2]
TEMPLATE = REPOSITORY / "template" / "python3-http"
OWN = "live/builder-fn:1"
SAMPLE = "live/built-by-its-own:1"
# The template's base image.
BASE = ("library/python", "3.13-slim-trixie")

# Inside the container. A relay leads from there to the stack's daemon.
BUILDKIT_URL, BUILDKIT_PORT = "tcp://127.0.0.1:1234", 1234

KEY = KeyPair.generate()
SECRETS = {
    "payload-secret": secrets.token_urlsafe(32),
    "config.json": '{"auths": {}}',
    "build-secrets-key": KEY.private,
}

COMPILER = re.compile(r"(.+-)?(gcc|g\+\+|cc|c\+\+|clang|ld|as|make|rustc|go|git)(-[\d.]+)?")
# Added to the base image, unpacked: 70 MiB of it are numpy, which finds large secrets in output, 20 grpcio
# and 16 of-watchdog.
MOST_OWN_MIB = 130


@pytest.fixture(scope="module")
def registry(mirror: str) -> RegistryClient:
    return RegistryClient(mirror)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy builder-fn as it is now, since it may be edited meanwhile."""
    return Path(shutil.copytree(REPOSITORY / "builder-fn", tmp_path_factory.mktemp("own") / "src"))


@pytest.fixture(scope="module")
def built(builder: str, source: Path, mirror: str) -> dict[str, Any]:
    """Return what a running builder says of its own image."""
    answer = post(builder, laid_over_the_template(source, f"{mirror}/{OWN}"), {})
    assert answer.status == 200, answer.document["error"]
    return answer.document


@pytest.fixture(scope="module")
def image(built: Mapping[str, Any], registry: RegistryClient) -> Image:
    repository, _, _ = OWN.partition(":")
    return registry.image(repository, built["digest"], base_images.architecture())


@pytest.fixture(scope="module")
def own_layers(image: Image, registry: RegistryClient) -> tuple[str, ...]:
    """Return the layers that are not the base image's."""
    base = registry.image(*BASE, base_images.architecture()).layers
    assert list(image.layers[: len(base)]) == list(base)
    return tuple(image.layers[len(base) :])


@pytest.fixture(scope="module")
def self_hosted(
    built: Mapping[str, Any], machine: Machine, registry: RegistryClient, shared_daemon: str
) -> Iterator[Container]:
    """Run the image as stack.yml has it."""
    deployment = yaml.safe_load((REPOSITORY / "stack.yml").read_text())["functions"]["builder-fn"]
    environment = with_defaults(deployment["environment"], {"BUILDKIT_URL": BUILDKIT_URL})
    mounted = machine.account.own(machine.account.scratch(machine.paths, "secrets"), 0o755)
    for name in deployment["secrets"]:
        (mounted / name).write_text(SECRETS[name])
    repository, _, _ = OWN.partition(":")
    try:
        with (
            container.run(
                machine,
                registry,
                f"{repository}@{built['digest']}",
                environment=environment,
                secrets=mounted,
                read_only=deployment["readonly_root_filesystem"],
            ) as running,
            Relay(shared_daemon, running.listen(BUILDKIT_PORT)),
        ):
            yield running
    finally:
        shutil.rmtree(mounted)


@dataclass(frozen=True)
class Sample:
    """A function that nobody else builds, and what the image's builder made of it."""

    greeting: str
    request: bytes
    digest: str


@pytest.fixture(scope="module")
def sample(self_hosted: Container, mirror: str, tmp_path_factory: pytest.TempPathFactory) -> Sample:
    greeting = f"built by a builder that was built by a builder: {os.urandom(4).hex()}"
    handler = tmp_path_factory.mktemp("sample")
    (handler / "handler.py").write_text(f"def handle(event, context):\n    return {greeting!r}\n")
    (handler / "requirements.txt").touch()
    request = laid_over_the_template(handler, f"{mirror}/{SAMPLE}")
    status, document = build(self_hosted, request)
    assert status == 200, document["error"]
    return Sample(greeting, request, document["digest"])


def test_is_ready_on_a_read_only_root_file_system(self_hosted: Container) -> None:
    with closing(self_hosted.connect()) as connection:
        connection.request("GET", "/ready")
        answer = connection.getresponse()
        assert (answer.status, json.load(answer)["status"]) == (200, "ready")


def test_builds_a_function_that_runs(
    sample: Sample, machine: Machine, registry: RegistryClient
) -> None:
    with container.run(machine, registry, SAMPLE) as running:
        assert running.digest == sample.digest
        assert running.call(b"") == (200, sample.greeting.encode())


def test_builds_the_same_as_a_builder_from_the_clone(sample: Sample, builder: str) -> None:
    assert post(builder, sample.request, {}).document["digest"] == sample.digest


def test_builds_itself_again_to_the_bit(
    self_hosted: Container, source: Path, built: Mapping[str, Any], mirror: str
) -> None:
    status, document = build(self_hosted, laid_over_the_template(source, f"{mirror}/{OWN}"))
    assert status == 200, document["error"]
    assert document["digest"] == built["digest"]


def test_opens_what_is_sealed_for_its_mounted_key(self_hosted: Container) -> None:
    token = secrets.token_urlsafe()
    step = "RUN --mount=type=secret,id=token sha256sum /run/secrets/token"
    request = SealedRequest(
        {"Dockerfile": f"FROM debian:trixie-slim\n{step}\n"},
        config={"skipPush": True},
        public=KEY.public,
        secrets={"token": token},
    )
    status, document = build(self_hosted, request.tar())
    assert status == 200, document["error"]
    assert hashlib.sha256(token.encode()).hexdigest() in "\n".join(document["log"])


def test_refuses_what_its_mounted_secret_did_not_sign(self_hosted: Container) -> None:
    status, answer = self_hosted.call(b"", "/build", {"X-Build-Signature": signature(b"")})
    assert (status, json.loads(answer)["reason"]) == (401, "bad_signature")


def test_what_tests_and_editors_leave_behind_is_not_built_from(
    builder: str, source: Path, built: Mapping[str, Any], mirror: str, tmp_path: Path
) -> None:
    handler = shutil.copytree(source, tmp_path / "builder-fn")
    for left in ("__pycache__/handler.cpython-311.pyc", "pb/__pycache__/x", ".tox/log", ".venv/x"):
        (handler / left).parent.mkdir(exist_ok=True)
        (handler / left).touch()
    answer = post(builder, laid_over_the_template(handler, f"{mirror}/{OWN}"), {})
    assert answer.document["digest"] == built["digest"]


def test_the_template_draws_no_warning(built: Mapping[str, Any]) -> None:
    assert "warnings" not in built


def test_the_image_runs_as_nobody_in_particular(image: Image) -> None:
    assert json.loads(image.config)["config"]["User"] == "1000:1000"


def test_the_image_has_no_secret(
    image: Image, own_layers: tuple[str, ...], registry: RegistryClient
) -> None:
    needle = [Needle("the payload secret", SECRET)]
    assert not list(traces.in_bytes(needle, "the config", image.config))
    for layer in own_layers:
        for member, content in files(registry, layer):
            assert not list(traces.in_bytes(needle, member.name, content))
            assert not member.name.startswith(("var/openfaas", "run/secrets"))


def test_the_image_adds_no_compiler_and_little_weight(
    own_layers: tuple[str, ...], registry: RegistryClient
) -> None:
    members = [member for layer in own_layers for member, _ in files(registry, layer)]
    programs = [each.name for each in members if "bin" in Path(each.name).parts]
    assert "usr/bin/fwatchdog" in programs
    assert not [name for name in programs if COMPILER.fullmatch(Path(name).name)]
    assert sum(each.size for each in members) < MOST_OWN_MIB << 20


def laid_over_the_template(handler: Path, image: str) -> bytes:
    """Return the tar that scripts/build.py sends, and but for its order faas-cli."""
    return archive.tar(overlay(TEMPLATE, handler), archive.build_config({"image": image}))


def build(builder: Container, body: bytes) -> tuple[int, dict[str, Any]]:
    signed = {"X-Build-Signature": signature(body, SECRETS["payload-secret"].encode())}
    status, answer = builder.call(body, "/build", signed)
    return status, json.loads(answer)


def with_defaults(values: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, str]:
    """Replace the variables in stack.yml as faas-cli does: ${NAME:-default}."""
    return {
        name: re.sub(
            r"\$\{(\w+):-([^}]*)\}", lambda found: environ.get(found[1], found[2]), str(value)
        )
        for name, value in values.items()
    }


def files(registry: RegistryClient, layer: str) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
    repository, _, _ = OWN.partition(":")
    with registry.blob(repository, layer) as blob, tarfile.open(fileobj=blob, mode="r|gz") as tar:
        for member in tar:
            content = tar.extractfile(member)
            yield member, content.read() if content else b""
