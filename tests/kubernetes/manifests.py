"""Runs kustomize. What `kubectl apply -k scripts/kubernetes` would send to a cluster."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING, Any

import yaml
from stack import kubernetes_tools
from stack.paths import Paths

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

Manifest = dict[str, Any]

FOLDER = Paths().repository / "scripts" / "kubernetes"
SECRETS = FOLDER / "secrets"


def base() -> list[Manifest]:
    return _built(FOLDER)


def with_component(name: str, scratch: Path) -> list[Manifest]:
    """As an operator's own kustomization has it, beside this one."""
    folder = os.path.relpath(FOLDER, scratch)
    overlay = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [folder],
        "components": [f"{folder}/{name}"],
    }
    (scratch / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    return _built(scratch)


def only(manifests: Iterable[Manifest], kind: str, name: str | None = None) -> Manifest:
    """The one of its kind, or of that name among them."""
    found = [
        manifest
        for manifest in manifests
        if manifest["kind"] == kind and name in {None, manifest["metadata"]["name"]}
    ]
    [manifest] = found
    return manifest


def _built(folder: Path) -> list[Manifest]:
    kustomize = kubernetes_tools.built(Paths()).kustomize
    built = subprocess.run([kustomize, "build", folder], capture_output=True, check=True)
    return list(yaml.safe_load_all(built.stdout))
