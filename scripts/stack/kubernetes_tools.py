"""Builds with golang. What tests check scripts/kubernetes with: kustomize, and cert-manager's definitions."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .errors import StackError
from .install import fingerprint, golang
from .install.completion import is_complete, mark_complete
from .paths import Paths

_CERT_MANAGER = "github.com/cert-manager/cert-manager"


@dataclass(frozen=True, slots=True)
class KubernetesTools:
    folder: Path

    @property
    def kustomize(self) -> Path:
        return self.folder / "kustomize"

    @property
    def definitions(self) -> Path:
        """A folder of CustomResourceDefinitions, one a file."""
        return self.folder / "definitions"

    @property
    def complete(self) -> bool:
        return is_complete(self.folder)


def find(paths: Paths) -> KubernetesTools:
    """Where the tools of this clone's go.mod are, or will be once built."""
    module = _module(paths)
    files = [module / "go.mod", module / "go.sum"]
    return KubernetesTools(paths.kubernetes_tools / fingerprint.of_files(files))


def built(paths: Paths) -> KubernetesTools:
    tools = find(paths)
    if not tools.complete:
        raise StackError("kustomize is not built for this clone: run ./scripts/test first.")
    return tools


def ensure(paths: Paths, log: Path, working: Callable[[str], None]) -> KubernetesTools:
    tools = find(paths)
    if tools.complete:
        return tools
    tools.folder.mkdir(parents=True, exist_ok=True)
    module = _module(paths)
    go = golang.toolchain(paths, module / "go.mod", log)
    working("building kustomize, half a minute the first time")
    golang.build(go, module, ["tool"], into=tools.folder, log=log)
    sources = golang.sources(go, module, _CERT_MANAGER, log=log)
    shutil.copytree(sources / "deploy" / "crds", tools.definitions, dirs_exist_ok=True)
    mark_complete(tools.folder)
    return tools


def _module(paths: Paths) -> Path:
    return paths.repository / "tests" / "kubernetes"
