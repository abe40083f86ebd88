"""What the manifests are checked with is built before it is used, from a module that names it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from stack import kubernetes_tools
from stack.errors import StackError
from stack.paths import Paths

if TYPE_CHECKING:
    from pathlib import Path


def test_tools_that_are_not_built_are_asked_for(tmp_path: Path) -> None:
    with pytest.raises(StackError, match=r"run \./scripts/test"):
        kubernetes_tools.built(Paths(cache=tmp_path))


def test_go_mod_names_what_it_brings_though_no_code_needs_it() -> None:
    # `go mod tidy` would take the second line away.
    go_mod = (Paths().repository / "tests" / "kubernetes" / "go.mod").read_text()
    assert "\ntool sigs.k8s.io/kustomize/kustomize/v5\n" in go_mod
    assert re.search(r"^\s+github\.com/cert-manager/cert-manager v\S+", go_mod, re.MULTILINE)
