"""Runs kubectl. What `kubectl apply -k scripts/kubernetes` would send to a cluster."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING, Any

import yaml
from stack.paths import Paths

from ..parts import kubernetes_tools

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

Manifest = dict[str, Any]

FOLDER = Paths().repository / "scripts" / "kubernetes"
SECRETS = FOLDER / "secrets"
SINGLE_DAEMON = Paths().repository / "tests" / "kubernetes" / "single_daemon.yaml"


def base() -> list[Manifest]:
    return built(FOLDER)


def single_daemon() -> list[Manifest]:
    """Return the folder's manifests of the time before pools, where an upgrade begins."""
    return list(yaml.safe_load_all(SINGLE_DAEMON.read_text()))


def with_components(scratch: Path, *names: str) -> list[Manifest]:
    """Return the manifests of an operator's own kustomization, beside this one."""
    scratch.mkdir(parents=True, exist_ok=True)
    folder = os.path.relpath(FOLDER, scratch)
    overlay = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [folder],
        "components": [f"{folder}/{name}" for name in names],
    }
    (scratch / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    return built(scratch)


def of(component: str | None, scratch: Path) -> list[Manifest]:
    """Return the base, with a component if one is named."""
    return with_components(scratch, component) if component else base()


def only(manifests: Iterable[Manifest], kind: str, name: str | None = None) -> Manifest:
    """Return the one of its kind, or of that name among them."""
    found = [
        manifest
        for manifest in manifests
        if manifest["kind"] == kind and name in {None, manifest["metadata"]["name"]}
    ]
    [manifest] = found
    return manifest


def built(folder: Path) -> list[Manifest]:
    kubectl = kubernetes_tools.built(Paths()).kubectl
    ended = subprocess.run([kubectl, "kustomize", folder], capture_output=True, check=False)
    assert ended.returncode == 0, ended.stderr.decode()
    assert not ended.stderr, ended.stderr.decode()
    return list(yaml.safe_load_all(ended.stdout))
