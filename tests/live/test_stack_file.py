"""stack.yml in the hands of OpenFaaS' own command line, when it is on PATH."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from stack.paths import REPOSITORY

from .. import stack_file

if TYPE_CHECKING:
    from pathlib import Path

    from stack.openfaas.openfaas import OpenFaaS

FAAS_CLI = shutil.which("faas-cli")
SECONDS = 60.0

pytestmark = pytest.mark.skipif(FAAS_CLI is None, reason="faas-cli is not on PATH")


@pytest.fixture(params=[False, True], ids=["as it is", "with what stands in comments"])
def all_options(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def folder(tmp_path: Path, all_options: bool) -> Path:
    """Make a clone's top level, as far as faas-cli reads it."""
    (tmp_path / "stack.yml").write_text(stack_file.text(all_options=all_options))
    for name in ("builder-fn", "template"):
        (tmp_path / name).symlink_to(REPOSITORY / name)
    return tmp_path


def test_deploy_asks_for_what_it_says(openfaas: OpenFaaS, folder: Path, all_options: bool) -> None:
    image = "registry.example.com/builder-fn:1"
    faas_cli(folder, "deploy", "--gateway", openfaas.url, BUILDER_FN_IMAGE=image)
    asked = openfaas.deployments()[-1]
    wanted = stack_file.function(all_options=all_options)
    assert (asked["service"], asked["image"]) == ("builder-fn", image)
    assert asked["envVars"] == wanted["environment"]
    assert asked["secrets"] == wanted["secrets"]
    assert asked["labels"] == wanted["labels"]
    assert (asked["limits"], asked["requests"]) == (wanted["limits"], wanted["requests"])
    assert (asked.get("annotations") or {}) == (wanted["annotations"] or {})
    assert asked["readOnlyRootFilesystem"] is True


def test_the_daemons_address_comes_from_the_environment(openfaas: OpenFaaS, folder: Path) -> None:
    url = "tcp://buildkitd.buildkit.svc.cluster.local:1234"
    faas_cli(folder, "deploy", "--gateway", openfaas.url, BUILDKIT_URL=url)
    assert openfaas.deployments()[-1]["envVars"]["buildkit_url"] == url


def test_build_lays_the_function_over_its_template(folder: Path) -> None:
    faas_cli(folder, "build", "--shrinkwrap")
    built = folder / "build" / "builder-fn"
    template = REPOSITORY / "template" / "python3-http"
    assert (built / "Dockerfile").read_bytes() == (template / "Dockerfile").read_bytes()
    for name in ("handler.py", "requirements.txt", "buildkit/client.py"):
        ours = REPOSITORY / "builder-fn" / name
        assert (built / "function" / name).read_bytes() == ours.read_bytes()


def test_generate_makes_a_resource_of_it(folder: Path, all_options: bool) -> None:
    generated: dict[str, Any] = yaml.safe_load(faas_cli(folder, "generate"))
    wanted = stack_file.function(all_options=all_options)
    assert generated["kind"] == "Function"
    assert generated["spec"]["secrets"] == wanted["secrets"]
    assert generated["spec"]["environment"] == wanted["environment"]
    assert generated["spec"]["readOnlyRootFilesystem"] is True


def faas_cli(folder: Path, command: str, *options: str, **environment: str) -> str:
    assert FAAS_CLI
    ended = subprocess.run(
        [FAAS_CLI, command, "-f", "stack.yml", *options],
        cwd=folder,
        env={**os.environ, "HOME": str(folder), **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout
