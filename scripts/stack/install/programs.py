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


def find(paths: Paths) -> Programs:
    """Where the programs of this clone's sources are, or will be once built."""
    sources = [*_tools(paths), *_watchdog(paths)]
    return Programs(paths.programs / fingerprint.of_files(sources, BUILDKIT_VERSION))


def ensure(paths: Paths, log: Path, working: Callable[[str], None]) -> Programs:
    programs = find(paths)
    if programs.complete:
        return programs
    programs.folder.mkdir(parents=True, exist_ok=True)
    go_mod = _tools(paths)[0]
    go = golang.toolchain(paths, go_mod, log)
    working("building buildkitd and buildctl, about 3 minutes on 2 cores the first time")
    stamp = f"-X github.com/moby/buildkit/version.Version={BUILDKIT_VERSION}"
    golang.build(go, go_mod.parent, ["tool"], into=programs.folder, log=log, link=stamp)
    golang.build(go, _watchdog(paths)[0].parent, ["."], into=programs.folder, log=log)
    # runc under the name that buildkitd looks for first (moby/buildkit v0.32.2 oci_worker flags).
    runc = programs.folder / "buildkit-runc"
    runc.unlink(missing_ok=True)
    runc.symlink_to(shutil.which("runc") or "/usr/sbin/runc")
    mark_complete(programs.folder)
    return programs


def real_watchdog() -> Path | None:
    """OpenFaaS' own of-watchdog, when this machine has it."""
    found = shutil.which("of-watchdog") or shutil.which("fwatchdog")
    return Path(found).resolve() if found else None


def _tools(paths: Paths) -> list[Path]:
    folder = paths.repository / "scripts" / "tools"
    return [folder / "go.mod", folder / "go.sum"]


def _watchdog(paths: Paths) -> list[Path]:
    folder = paths.repository / "tests" / "stand_in_watchdog"
    return [folder / "go.mod", folder / "main.go"]
