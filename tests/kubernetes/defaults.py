"""Pure. Changes that an API server makes to a manifest: what it adds by itself, and what it leaves out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .manifests import Manifest

_PLURALS = {
    "NetworkPolicy": "networkpolicies",
    "ValidatingAdmissionPolicy": "validatingadmissionpolicies",
}
_WITHOUT_NAMESPACE = {
    "Namespace",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
}

# What each server has others of.
_ASSIGNED = ("metadata.", "status.", "spec.clusterIP")

# By kind: the fields that the server adds, by their paths.
EXPECTED: Mapping[str, Mapping[str, Any]] = {
    "Namespace": {"spec.finalizers[0]": "kubernetes"},
    "Service": {
        "spec.type": "ClusterIP",
        "spec.sessionAffinity": "None",
        "spec.ipFamilies[0]": "IPv4",
        "spec.ipFamilyPolicy": "SingleStack",
        "spec.internalTrafficPolicy": "Cluster",
    },
    "StatefulSet": {
        "spec.revisionHistoryLimit": 10,
        "spec.template.spec.restartPolicy": "Always",
        "spec.template.spec.dnsPolicy": "ClusterFirst",
        "spec.template.spec.schedulerName": "default-scheduler",
        "spec.template.spec.initContainers[0].resources": {},
        **{
            f"spec.template.spec.containers[0].{name}Probe.successThreshold": 1
            for name in ("liveness", "readiness", "startup")
        },
        **{
            f"spec.template.spec.{containers}[0].{name}": value
            for containers in ("containers", "initContainers")
            for name, value in {
                "terminationMessagePath": "/dev/termination-log",
                "terminationMessagePolicy": "File",
                # With a tag and a digest: the tag of that digest never changes.
                "imagePullPolicy": "IfNotPresent",
            }.items()
        },
    },
}


def path(manifest: Manifest) -> str:
    """Return the manifest's own path on the API server."""
    kind, api = manifest["kind"], manifest["apiVersion"]
    plural = _PLURALS.get(kind, kind.lower() + "s")
    root = f"/apis/{api}" if "/" in api else f"/api/{api}"
    if kind not in _WITHOUT_NAMESPACE:
        root += f"/namespaces/{manifest['metadata']['namespace']}"
    return f"{root}/{plural}/{manifest['metadata']['name']}"


def added(manifest: Manifest, live: Manifest) -> dict[str, Any]:
    """Return the live object's fields that the manifest does not name, but for what every object has."""
    wanted = dict(_leaves(manifest))
    return {
        path: value
        for path, value in _leaves(live)
        if path not in wanted and not path.startswith(_ASSIGNED)
    }


def missing(manifest: Manifest, live: Manifest) -> set[str]:
    """Return the manifest's fields that the live object has not, or with other values."""
    found = dict(_leaves(live))
    return {
        path for path, value in _leaves(manifest) if path not in found or found[path] != value
    } - {path for path, _ in _leaves({"status": manifest.get("status")})}


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for name, each in value.items():
            yield from _leaves(each, f"{path}.{name}" if path else name)
    elif isinstance(value, list) and value:
        for number, each in enumerate(value):
            yield from _leaves(each, f"{path}[{number}]")
    else:
        yield path, value
