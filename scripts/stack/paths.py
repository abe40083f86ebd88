"""Pure. Folders and files of the stack: all of them outside the clone.

An unprivileged account runs the daemons and must be able to read what they run, so nothing can
live under root's home.
"""

from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Paths:
    repository: Path = REPOSITORY
    cache: Path = Path("/var/cache/builder-fn")
    state: Path = Path("/var/lib/builder-fn")
    runtime: Path = Path("/run/builder-fn")

    @property
    def programs(self) -> Path:
        return self.cache / "programs"

    @property
    def openfaas_programs(self) -> Path:
        return self.cache / "openfaas"

    @property
    def kubernetes_tools(self) -> Path:
        return self.cache / "kubernetes"

    @property
    def venvs(self) -> Path:
        return self.cache / "venvs"

    @property
    def images(self) -> Path:
        return self.cache / "images"

    @property
    def logs(self) -> Path:
        return self.state / "logs"

    @property
    def scratch(self) -> Path:
        """Folders of daemons that live no longer than a test."""
        return self.state / "scratch"

    @property
    def payload_secret(self) -> Path:
        return self.state / "secrets" / "payload-secret"

    @property
    def record(self) -> Path:
        return self.runtime / "stack.json"

    @property
    def lock(self) -> Path:
        return self.runtime / "lock"
