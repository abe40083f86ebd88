"""Asks and tells the API server. The kubelets of all nodes, as far as a cluster sees of them.

No container runs. A pod becomes ready if its daemon would start, and is gone when it was asked to go.
"""

from __future__ import annotations

import threading
import tomllib
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from .cluster import Cluster

_POLL_SECONDS = 0.1
_MERGE = "application/strategic-merge-patch+json"


class Kubelet:
    """As a context manager it works in the block."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._addresses: dict[str, str] = {}
        # Pods that must go but have work to do, by name: each drains until it is let go.
        self.draining: set[str] = set()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(_POLL_SECONDS):
            for pod in self._cluster.items("/api/v1/pods"):
                if "nodeName" in pod["spec"]:
                    # What was deleted meanwhile is looked at again, or not at all.
                    with suppress(KeyError):
                        self._tend(pod)

    def _tend(self, pod: dict[str, Any]) -> None:
        name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
        path = f"/api/v1/namespaces/{namespace}/pods/{name}"
        if "deletionTimestamp" in pod["metadata"]:
            if name not in self.draining:
                options = {"gracePeriodSeconds": 0, "preconditions": _identity(pod)}
                self._cluster.ask("DELETE", path, options)
            return
        if any(_is_true(each) for each in pod["status"].get("conditions", ())):
            return  # as ready as it will be
        status = self._status(pod)
        if {key: pod["status"].get(key) for key in status} != status:
            self._cluster.ask("PATCH", f"{path}/status", {"status": status}, _MERGE)

    def _status(self, pod: dict[str, Any]) -> dict[str, Any]:
        owner = pod["metadata"].get("ownerReferences", [{}])[0].get("kind")
        if owner == "Job":
            return {"phase": "Succeeded"}
        address = self._addresses.setdefault(
            pod["metadata"]["uid"], f"10.244.0.{len(self._addresses) + 2}"
        )
        ready = "True" if self._starts(pod) else "False"
        return {
            "phase": "Running",
            "podIP": address,
            "podIPs": [{"ip": address}],
            "conditions": [{"type": "Ready", "status": ready}],
        }

    def _starts(self, pod: dict[str, Any]) -> bool:
        """Tell whether buildkitd has what it mounts and can read its configuration."""
        namespace = pod["metadata"]["namespace"]
        for volume in pod["spec"].get("volumes", ()):
            if "secret" in volume:
                name = volume["secret"]["secretName"]
                if "data" not in self._cluster.ask(
                    "GET", f"/api/v1/namespaces/{namespace}/secrets/{name}"
                ):
                    return False
            if "configMap" in volume:
                name = volume["configMap"]["name"]
                told = self._cluster.ask("GET", f"/api/v1/namespaces/{namespace}/configmaps/{name}")
                try:
                    tomllib.loads(told["data"]["buildkitd.toml"])
                except (KeyError, ValueError):
                    return False
        return True


def _is_true(condition: dict[str, Any]) -> bool:
    return (condition["type"], condition["status"]) == ("Ready", "True")


def _identity(pod: dict[str, Any]) -> dict[str, str]:
    return {"uid": pod["metadata"]["uid"]}
