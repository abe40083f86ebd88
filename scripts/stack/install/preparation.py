"""Installs and builds. Everything a bare Debian lacks before the first daemon can start."""

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from .. import console
from ..errors import StackError
from ..images import base_images
from ..images.base_images import BaseImage
from ..images.oci import Layer
from ..machine import Machine
from ..openfaas import programs as openfaas_programs
from ..paths import Paths
from . import account, debian, ownership, programs, venv
from .completion import is_complete
from .programs import Programs

# Measured on a bare Debian: 2.3 GiB for Go's caches and programs, base images, Python packages and
# what buildkitd keeps of the sample, and 0.7 GiB for the languages of the tests. The rest lets
# functions be built afterwards.
FIRST_RUN_BYTES = 4 << 30
LATER_RUN_BYTES = 1 << 30


# Makes more images on top of these layers; what takes long is said, and its output goes to the log.
MakeImages = Callable[[Paths, Sequence[Layer], Path, Callable[[str], None]], list[BaseImage]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    machine: Machine
    images: list[BaseImage]
    mirrored: tuple[str, ...]
    watchdog: Path | None  # OpenFaaS' own


def prepare(
    paths: Paths,
    *,
    openfaas: bool = False,
    buildkit: str = programs.BUILDKIT_VERSION,
    more_programs: Mapping[str, str] | None = None,
    more_images: MakeImages | None = None,
) -> Prepared:
    """Install packages; build programs, images and venvs side by side; skip what is done.

    OpenFaaS' programs are built when they are asked for. `more_programs` are Debian packages by what each
    brings (see debian.PROGRAMS); `more_images` are made where docker.io is out of reach.
    """
    _require_space(paths)
    paths.cache.mkdir(parents=True, exist_ok=True)
    ownership.keep(paths.state)
    ownership.keep(paths.logs)
    _packages(paths, more_programs or {})
    owner = account.ensure(paths)
    account.require_user_namespaces(owner)
    console.step("account", f"{account.NAME}, without privileges, runs every daemon")
    real = programs.real_watchdog()
    with ThreadPoolExecutor() as pool:
        function_venv = pool.submit(_venv, paths)
        building = pool.submit(_programs, paths, buildkit)
        images = pool.submit(_images, paths, more_images)
        gateway = pool.submit(_openfaas, paths) if openfaas else None
        made, mirrored = images.result()
        built = building.result()
        if gateway:
            gateway.result()
        machine = Machine(
            paths=paths,
            account=owner,
            programs=built,
            venv=function_venv.result(),
            process_sandbox=account.allows_process_sandbox(owner),
        )
    if "ghcr.io" in mirrored:
        made.append(base_images.watchdog(paths, real or built.stand_in_watchdog))
    return Prepared(machine=machine, images=made, mirrored=mirrored, watchdog=real)


def _packages(paths: Paths, more: Mapping[str, str]) -> None:
    wanted = debian.missing({**debian.PROGRAMS, **more})
    if wanted:
        console.step("packages", f"installing {', '.join(wanted)}")
        debian.install(wanted, paths.logs / "apt.log")
    else:
        console.step("packages", "all installed")


def _programs(paths: Paths, buildkit: str) -> Programs:
    report = _Report("programs")
    built = programs.ensure(paths, paths.logs / "go.log", report.working, buildkit)
    report.done(f"buildkitd and buildctl {buildkit}")
    return built


def _openfaas(paths: Paths) -> None:
    report = _Report("openfaas")
    openfaas_programs.ensure(paths, paths.logs / "go-openfaas.log", report.working)
    report.done("gateway, NATS Streaming and queue-worker, Community Edition")


def _images(
    paths: Paths, more_images: MakeImages | None
) -> tuple[list[BaseImage], tuple[str, ...]]:
    report = _Report("base images")
    mirrored = base_images.unreachable()
    made: list[BaseImage] = []
    if "docker.io" in mirrored:
        log = paths.logs / "base-images.log"
        made = base_images.debian_and_python(paths, log, report.working)
        if more_images:
            made += more_images(paths, made[-1].layers, log, report.working)
    names = " and ".join(mirrored)
    report.done(
        f"{names} out of reach: own images under the same names" if mirrored else "public ones"
    )
    return made, mirrored


def _venv(paths: Paths) -> Path:
    report = _Report("packages")
    files = venv.function_requirements(paths)
    found = venv.location(paths, "function", files)
    if not is_complete(found):
        report.working("installing the function's Python packages")
    return venv.ensure(paths, "function", files, log=paths.logs / "pip.log")


class _Report:
    """Says that something takes a while, and afterwards how long it took."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._since: float | None = None

    def working(self, text: str) -> None:
        self._since = time.monotonic()
        console.step(self._name, f"{text} ...")

    def done(self, text: str) -> None:
        spent = f" ({time.monotonic() - self._since:.0f} s)" if self._since else ""
        console.step(self._name, text + spent)


def _require_space(paths: Paths) -> None:
    first = not paths.programs.exists()
    needed = FIRST_RUN_BYTES if first else LATER_RUN_BYTES
    for folder in (paths.cache, paths.state):
        existing = next(each for each in (folder, *folder.parents) if each.exists())
        available = shutil.disk_usage(existing).free
        if available < needed:
            raise StackError(
                f"{folder} has {available / 2**30:.1f} GiB of free disk space and "
                f"{needed / 2**30:.0f} GiB are needed: free some, or mount a larger disk there."
            )
