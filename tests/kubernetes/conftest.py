"""A cluster for each scenario, and a clone in which its commands are run."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from stack.install import account
from stack.paths import Paths

from ..parts import kubernetes_tools
from . import cluster as clusters
from . import operating
from .kubelet import Kubelet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from .cluster import Cluster
    from .operating import Operator

    StartCluster = Callable[..., AbstractContextManager[Cluster]]


@pytest.fixture(scope="session")
def start_cluster() -> StartCluster:
    """Start clusters: `start_cluster(version="1.33", apiserver_only=True)`."""
    paths, owner = Paths(), account.find()
    tools = kubernetes_tools.built(paths)
    assert owner

    @contextmanager
    def start(**options: Any) -> Iterator[Cluster]:
        folder = owner.scratch(paths, "kubernetes")
        try:
            with clusters.start(tools, owner, folder, **options) as cluster:
                yield cluster
        finally:
            shutil.rmtree(folder)

    return start


@pytest.fixture(scope="session")
def shared(start_cluster: StartCluster) -> Iterator[tuple[Cluster, Kubelet]]:
    with start_cluster() as cluster:
        operating.furnish(cluster)
        with Kubelet(cluster) as kubelet:
            yield cluster, kubelet


@pytest.fixture
def operator(shared: tuple[Cluster, Kubelet], tmp_path: Path) -> Iterator[Operator]:
    """Yield an operator with a cluster that has OpenFaaS' namespaces, and nothing of ours yet."""
    cluster, kubelet = shared
    operator = operating.with_clone(cluster, kubelet, tmp_path)
    yield operator
    operator.clear()
