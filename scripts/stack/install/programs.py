"""Builds with golang. The programs that no package brings: buildkitd, buildctl, a watchdog."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..paths import Paths
from . import fingerprint, golang
from .completion import is_complete, mark_complete

# Kept in step with scripts/tools/go.mod.
BUILDKIT_VERSION = "v0.32.2"
_BUILDKIT = "github.com/moby/buildkit"


@dataclass(frozen=True, slots=True)
class Programs:
    """A folder of executables that the unprivileged account can read."""

    folder: Path

    @property
    def buildkitd(self) -> Path:
        return self.folder / "buildkitd"

    @property
    def buildctl(self) -> Path:
        return self.folder / "buildctl"

    @property
    def stand_in_watchdog(self) -> Path:
        return self.folder / "stand_in_watchdog"

    @property
    def search_path(self) -> str:
        return f"{self.folder}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

    @property
    def complete(self) -> bool:
        return is_complete(self.folder)


def find(paths: Paths, version: str = BUILDKIT_VERSION) -> Programs:
    """Return where the programs of this clone's sources are, or will be once built.

    Those of another version of BuildKit are kept apart.
    """
    sources = [*_tools(paths), *_watchdog(paths)]
    made_from = fingerprint.of_files(sources, version)
    apart = "" if version == BUILDKIT_VERSION else f"{version}-"
    return Programs(paths.programs / f"{apart}{made_from}")


def ensure(
    paths: Paths, log: Path, working: Callable[[str], None], version: str = BUILDKIT_VERSION
) -> Programs:
    programs = find(paths, version)
    if programs.complete:
        return programs
    programs.folder.mkdir(parents=True, exist_ok=True)
    go_mod = _tools(paths)[0]
    go = golang.toolchain(paths, go_mod, log)
    working(f"building buildkitd and buildctl {version}, about 3 minutes on 2 cores the first time")
    module, packages = go_mod.parent, ["tool"]
    if version != BUILDKIT_VERSION:
        module = golang.released(go, _BUILDKIT, version, log=log)
        packages = ["./cmd/buildkitd", "./cmd/buildctl"]
    stamp = f"-X {_BUILDKIT}/version.Version={version}"
    golang.build(go, module, packages, into=programs.folder, log=log, link=stamp)
    golang.build(go, _watchdog(paths)[0].parent, ["."], into=programs.folder, log=log)
    # runc under the name that buildkitd looks for first (moby/buildkit v0.32.2 oci_worker flags).
    runc = programs.folder / "buildkit-runc"
    runc.unlink(missing_ok=True)
    runc.symlink_to(shutil.which("runc") or "/usr/sbin/runc")
    mark_complete(programs.folder)
    return programs


def real_watchdog() -> Path | None:
    """Return OpenFaaS' own of-watchdog, when this machine has it."""
    found = shutil.which("of-watchdog") or shutil.which("fwatchdog")
    return Path(found).resolve() if found else None


def _tools(paths: Paths) -> list[Path]:
    folder = paths.repository / "scripts" / "tools"
    return [folder / "go.mod", folder / "go.sum"]


def _watchdog(paths: Paths) -> list[Path]:
    folder = paths.repository / "tests" / "stand_in_watchdog"
    return [folder / "go.mod", folder / "main.go"]
