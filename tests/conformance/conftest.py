"""One function for every client, by its own URL and behind a gateway; and the table they fill."""

from __future__ import annotations

import base64
import json
import shutil
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, cast

import pytest
from nacl.public import PrivateKey
from stack.daemons import registry
from stack.openfaas import openfaas as stack_openfaas
from stack.paths import REPOSITORY

from ..live import conftest as live
from . import programs
from .errand import BUILDS, PAYLOAD_SECRET, Errand
from .table import Address, Case, Table, Trial

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping

    from stack.machine import Machine
    from stack.openfaas.openfaas import OpenFaaS

    from ..live.conftest import StartFunction

    Send = Callable[..., Errand]

# The real parts are those of the live tests.
machine, mirror = live.machine, live.mirror
shared_daemon, start_function = live.shared_daemon, live.start_function

HERE = Path(__file__).parent
README = REPOSITORY / "tests" / "conformance" / "README.md"

_TABLE = pytest.StashKey[Table]()
_WHOLE = pytest.StashKey[bool]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--write-table",
        action="store_true",
        help="write the conformance table into the README here",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "conformance(trial): a run that fills the table")
    config.stash[_TABLE] = Table()


@pytest.hookimpl(tryfirst=True)  # before -k and -m leave any out
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if trial := _trial(item):
            config.stash[_TABLE].declare(trial)
    config.stash[_WHOLE] = {item.path for item in items} >= set(HERE.glob("test_*.py"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    trial = _trial(item)
    if trial and (report.failed or (report.passed and report.when == "call")):
        item.config.stash[_TABLE].record(trial, passed=report.passed)
    return report


def _trial(item: pytest.Item) -> Trial | None:
    mark = item.get_closest_marker("conformance")
    return cast("Trial", mark.args[0]) if mark else None


@pytest.fixture
def table(pytestconfig: pytest.Config) -> Table:
    if not pytestconfig.stash[_WHOLE]:
        if pytestconfig.getoption("--write-table"):
            pytest.fail("the table is not written from a part of it: run all of tests/conformance")
        pytest.skip("only a part of the table was asked for")
    return pytestconfig.stash[_TABLE]


@pytest.fixture(scope="session")
def private(machine: Machine) -> Iterator[registry.Registry]:
    """Start a registry whose password the builder has wrong."""
    owner = registry.Credentials(username="owner", password="the right password")
    with registry.start(machine, credentials=owner) as started:
        yield started


@pytest.fixture(scope="session")
def secrets(machine: Machine, private: registry.Registry) -> Iterator[Path]:
    """Mount the function's secrets as OpenFaaS does."""
    folder = machine.account.scratch(machine.paths, "secrets")
    wrong = {"username": "owner", "password": "the wrong password"}
    (folder / "payload-secret").write_text(PAYLOAD_SECRET + "\n")
    (folder / "config.json").write_text(json.dumps({"auths": {private.address: wrong}}))
    (folder / "build-secrets-key").write_bytes(base64.b64encode(bytes(PrivateKey.generate())))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def function_url(start_function: StartFunction, shared_daemon: str, secrets: Path) -> Iterator[str]:
    with start_function(shared_daemon, secret_mount_path=str(secrets)) as function:
        yield function.url


@pytest.fixture(scope="session")
def openfaas(machine: Machine, function_url: str) -> Iterator[OpenFaaS]:
    """Start a gateway that knows the function as builder-fn."""
    with stack_openfaas.start(machine) as started:
        started.register("builder-fn", [function_url])
        yield started


@pytest.fixture
def send(
    tmp_path: Path, mirror: str, private: registry.Registry, request: pytest.FixtureRequest
) -> Send:
    """Lay a client's folder out: `send(trial)`, perhaps with another Dockerfile."""
    urls: Mapping[Address, Callable[[], str]] = {
        Address.FUNCTION: lambda: str(request.getfixturevalue("function_url")),
        Address.GATEWAY: lambda: f"{request.getfixturevalue('openfaas').url}/function/builder-fn",
    }

    def lay_out(trial: Trial, builds: str = BUILDS) -> Errand:
        host = private.address if trial.case is Case.WRONG_PASSWORD else mirror
        # A tag of its own, so that nothing of another test is found in the registry.
        image = f"{host}/conformance/hello:{token_hex(8)}"
        url = urls[trial.address]()
        errand = Errand(trial=trial, folder=tmp_path, url=url, image=image)
        errand.lay_out(builds)
        return errand

    return lay_out


@pytest.fixture(scope="session")
def go() -> programs.Go:
    return programs.go()


@pytest.fixture(scope="session")
def node() -> programs.Node:
    return programs.node()
