"""The base images, against what the template builds on."""

import re
from pathlib import Path

import pytest
from stack.images import base_images
from stack.paths import Paths

DOCKERFILE = Paths().repository / "template" / "python3-http" / "Dockerfile"


def base_images_of(dockerfile: str) -> set[str]:
    """Return the names after FROM, with the defaults of ARG filled in, without the stages of its own."""
    defaults = dict(re.findall(r"^ARG (\w+)=(\S+)$", dockerfile, re.MULTILINE))
    lines = re.findall(r"^FROM (?:--\S+ )?(\S+)(?: AS (\S+))?$", dockerfile, re.MULTILINE)
    stages = {stage for _, stage in lines}
    named = {re.sub(r"\$\{(\w+)\}", lambda m: defaults[m[1]], image) for image, _ in lines}
    return named - stages


def test_the_images_that_the_template_builds_on_are_made_here() -> None:
    tags = {
        *(f"python:{tag}" for tag in base_images.PYTHON_TAGS),
        f"ghcr.io/openfaas/of-watchdog:{base_images.WATCHDOG_TAG}",
    }

    wanted = base_images_of(DOCKERFILE.read_text())

    assert len(wanted) == 2
    assert wanted <= tags


def test_the_templates_image_names_its_user_by_a_number() -> None:
    users = re.findall(r"^USER (.*)$", DOCKERFILE.read_text("utf-8"), re.MULTILINE)

    # Kubernetes' runAsNonRoot cannot judge a name.
    assert users == ["1000:1000"]


def test_a_layer_is_made_once_for_the_same_program(tmp_path: Path) -> None:
    program = tmp_path / "fwatchdog"
    program.write_bytes(b"program")
    paths = Paths(cache=tmp_path / "cache")

    made = base_images.watchdog(paths, program)
    made.layers[0].path.write_bytes(b"kept")

    assert base_images.watchdog(paths, program) == made
    assert made.layers[0].path.read_bytes() == b"kept"


def test_another_program_makes_another_layer(tmp_path: Path) -> None:
    program = tmp_path / "fwatchdog"
    paths = Paths(cache=tmp_path / "cache")

    program.write_bytes(b"one")
    one = base_images.watchdog(paths, program)
    program.write_bytes(b"two")

    assert base_images.watchdog(paths, program).layers[0].digest != one.layers[0].digest


def test_images_trust_the_authorities_that_the_machine_trusts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "https://packages.example/simple")

    settings = base_images._pip_settings().splitlines()

    assert "cert = /etc/ssl/certs/ca-certificates.crt" in settings
    assert "index-url = https://packages.example/simple" in settings
