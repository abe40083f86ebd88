"""Starts daemons and runs commands. Somebody who does with a cluster what README says."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..live.waiting import wait_until
from . import cluster as clusters
from . import readme
from .manifests import FOLDER

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Sequence
    from pathlib import Path

    from .cluster import Cluster
    from .kubelet import Kubelet

ARCHITECTURES = ("amd64", "amd64", "amd64", "arm64", "arm64")  # of the nodes
NUMBER_OF_VOLUMES = 8
NODES = "/api/v1/nodes"
VOLUMES = "/api/v1/persistentvolumes"
NAMESPACE = "/api/v1/namespaces/buildkit"
# What has to go for the cluster to be as it was furnished, in this order: collections, whole.
OURS = (
    "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings",
    "/apis/apps/v1/namespaces/buildkit/statefulsets",
    "/apis/batch/v1/namespaces/buildkit/jobs",
    "/api/v1/namespaces/buildkit/pods",
    "/api/v1/namespaces/buildkit/persistentvolumeclaims",
    "/api/v1/namespaces/openfaas-fn/secrets",
    "/apis/networking.k8s.io/v1/namespaces/openfaas-fn/networkpolicies",
    "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
    "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies",
    VOLUMES,
    NODES,
)
PODS = "/api/v1/namespaces/buildkit/pods"
CLAIMS = "/api/v1/namespaces/buildkit/persistentvolumeclaims"
SLICES = "/apis/discovery.k8s.io/v1/namespaces/buildkit/endpointslices"
STATEFUL_SET = "/apis/apps/v1/namespaces/buildkit/statefulsets/buildkitd"


@dataclass(kw_only=True)
class Operator:
    """A person with a clone and a cluster, who does what README says."""

    cluster: Cluster
    kubelet: Kubelet
    clone: Path

    def run(self, script: str) -> subprocess.CompletedProcess[str]:
        """Run commands that are to succeed, and to warn of nothing."""
        ended = self.cluster.shell(script, self.clone)
        assert ended.returncode == 0, f"{script}\n{ended.stdout}\n{ended.stderr}"
        assert "warning" not in ended.stderr.casefold(), ended.stderr
        return ended

    def follow(self, section: str, *numbers: int) -> list[subprocess.CompletedProcess[str]]:
        """Run the blocks of a section, or some of them."""
        blocks = readme.sections()[section]
        return [self.run(blocks[number]) for number in numbers or range(len(blocks))]

    def pods(self) -> dict[str, dict[str, Any]]:
        return {pod["metadata"]["name"]: pod for pod in self.cluster.items(PODS)}

    def claims(self) -> dict[str, dict[str, Any]]:
        return {each["metadata"]["name"]: each for each in self.cluster.items(CLAIMS)}

    def stateful_set(self, name: str = "buildkitd") -> dict[str, Any]:
        return self.cluster.ask("GET", STATEFUL_SET.replace("/buildkitd", f"/{name}"))

    def settled(self, daemons: int, name: str = "buildkitd") -> None:
        """Wait until so many daemons are ready, all of the newest kind, and no other is left."""

        def is_settled() -> bool:
            found = self.stateful_set(name)
            status = found.get("status", {})
            mine = {each: pod for each, pod in self.pods().items() if each[:-2] == name}
            ready, newest = (status.get(f"{each}Replicas", 0) for each in ("ready", "updated"))
            seen = status.get("observedGeneration") == found["metadata"]["generation"]
            leaving = any("deletionTimestamp" in pod["metadata"] for pod in mine.values())
            return seen and not leaving and {ready, newest, len(mine)} == {daemons}

        wait_until(is_settled)

    def endpoints(self, service: str) -> set[str]:
        """Return the pods whose addresses DNS tells for the Service."""
        return {
            endpoint["targetRef"]["name"]
            for each in self.cluster.items(SLICES)
            if each["metadata"]["labels"]["kubernetes.io/service-name"] == service
            for endpoint in each["endpoints"] or ()
            if endpoint["conditions"]["ready"]
        }

    def clear(self) -> None:
        """Leave the cluster as it was furnished."""
        self.kubelet.draining.clear()
        at_once = {"gracePeriodSeconds": 0, "propagationPolicy": "Background"}

        def is_empty() -> bool:
            for collection in OURS:
                self.cluster.ask("DELETE", collection, at_once)
            return not any(map(self.cluster.items, (PODS, CLAIMS, VOLUMES, NODES)))

        def is_gone() -> bool:
            # A policy that was deleted is still in force for a moment.
            self.cluster.ask("DELETE", NAMESPACE)
            return self.cluster.ask("GET", NAMESPACE).get("reason") == "NotFound"

        # In this order: what a namespace still holds when it is deleted is looked at again seconds later.
        wait_until(is_empty)
        wait_until(is_gone)
        furnish(self.cluster, namespaces=())


def furnish(
    cluster: Cluster, namespaces: Sequence[str] = ("openfaas", "openfaas-fn", "cert-manager")
) -> None:
    """Give the cluster nodes, volumes, and the namespaces of what is installed first."""
    cluster.create(
        *clusters.nodes(ARCHITECTURES),
        *clusters.volumes([f"volume-{number}" for number in range(NUMBER_OF_VOLUMES)]),
        *clusters.namespaces(*namespaces),
        *([clusters.STORAGE_CLASS] if namespaces else ()),
    )


def with_clone(cluster: Cluster, kubelet: Kubelet, clone: Path) -> Operator:
    (clone / "scripts").mkdir(parents=True)
    shutil.copytree(FOLDER, clone / "scripts" / "kubernetes")
    shutil.copy(FOLDER.parent / "generate-key", clone / "scripts")
    return Operator(cluster=cluster, kubelet=kubelet, clone=clone)
