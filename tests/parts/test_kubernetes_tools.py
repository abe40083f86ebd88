"""The tools that check the manifests: built before they are used, from a module that names them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from stack.errors import StackError
from stack.paths import Paths

from . import kubernetes_tools

if TYPE_CHECKING:
    from pathlib import Path


def test_tools_that_are_not_built_are_asked_for(tmp_path: Path) -> None:
    with pytest.raises(StackError, match=r"run \./scripts/test"):
        kubernetes_tools.built(Paths(cache=tmp_path))


KUBERNETES = Paths().repository / "tests" / "kubernetes"


def test_go_mod_names_what_it_brings_though_no_code_needs_it() -> None:
    # `go mod tidy` would take the line away.
    go_mod = (KUBERNETES / "cert_manager" / "go.mod").read_text()
    assert re.search(r"^require github\.com/cert-manager/cert-manager v\S+", go_mod, re.MULTILINE)


def test_every_part_of_kubernetes_is_of_one_release() -> None:
    go_mod = (KUBERNETES / "go.mod").read_text()
    [(minor, patch)] = set(re.findall(r"\tk8s\.io/kubernetes v1\.(\d+)\.(\d+)", go_mod))
    replaced = re.findall(r"^\t(k8s\.io/\S+) => (k8s\.io/\S+) (v\S+)$", go_mod, re.MULTILINE)
    assert {(name == by, version) for name, by, version in replaced} == {
        (True, f"v0.{minor}.{patch}")
    }
    assert {name for name, *_ in replaced} > {"k8s.io/api", "k8s.io/client-go", "k8s.io/kubectl"}


def test_other_modules_are_other_tools(tmp_path: Path) -> None:
    paths = Paths(repository=tmp_path / "clone", cache=tmp_path)
    for name in ("", "cert_manager"):
        folder = paths.repository / "tests" / "kubernetes" / name
        folder.mkdir(parents=True, exist_ok=True)
        for file in ("go.mod", "go.sum"):
            (folder / file).write_text("module x\n")
    before = kubernetes_tools.find(paths)
    assert kubernetes_tools.find(paths) == before
    (paths.repository / "tests" / "kubernetes" / "go.mod").write_text("module y\n")
    assert kubernetes_tools.find(paths) != before


def test_a_full_disk_is_told_before_minutes_of_building(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kubernetes_tools, "_BUILD_BYTES", 1 << 60)
    with pytest.raises(StackError, match="GiB while it is built: free some"):
        kubernetes_tools.ensure(Paths(cache=tmp_path), tmp_path / "log", lambda _: None)
