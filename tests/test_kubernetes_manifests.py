"""scripts/kubernetes: what a cluster takes, and what its parts must know of each other."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from stack.install.programs import BUILDKIT_VERSION

from function import go_duration
from function.config import Settings

from . import stack_file
from .kubernetes import manifests, schemas

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from .kubernetes.manifests import Manifest

# kustomize makes every manifest.
pytestmark = pytest.mark.programs

UNITS = {"GB": 1 << 30, "Gi": 1 << 30}  # buildkitd's are binary, too (docker/go-units RAMInBytes)


@pytest.fixture(scope="module")
def base() -> list[Manifest]:
    return manifests.base()


@pytest.fixture(scope="module")
def stateful_set(base: list[Manifest]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = manifests.only(base, "StatefulSet")["spec"]
    return found


@pytest.fixture(scope="module")
def pod(stateful_set: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = stateful_set["template"]["spec"]
    return found


@pytest.fixture(scope="module")
def container(pod: Mapping[str, Any]) -> Mapping[str, Any]:
    [found] = pod["containers"]
    return dict(found)


@pytest.fixture(scope="module")
def settings(base: list[Manifest]) -> Mapping[str, Any]:
    return tomllib.loads(manifests.only(base, "ConfigMap")["data"]["buildkitd.toml"])


def number_of_bytes(text: str) -> int:
    return int(text[:-2]) * UNITS[text[-2:]]


@pytest.mark.parametrize("version", schemas.VERSIONS)
def test_every_supported_kubernetes_takes_every_field(base: list[Manifest], version: str) -> None:
    for manifest in base:
        schemas.check(manifest, version)


def test_a_field_that_no_kubernetes_knows_would_be_noticed(base: list[Manifest]) -> None:
    service = manifests.only(base, "Service")
    misspelt = {**service, "spec": {**service["spec"], "selectors": {}}}
    with pytest.raises(schemas.ValidationError, match="selectors"):
        schemas.check(misspelt, schemas.VERSIONS[-1])


def test_the_daemon_is_the_one_that_the_tests_run(pod: Mapping[str, Any]) -> None:
    images = {each["image"] for each in (*pod["initContainers"], *pod["containers"])}
    assert images == {f"moby/buildkit:{BUILDKIT_VERSION}-rootless"}


def test_older_and_newer_kubernetes_leave_apparmor_off_for_the_daemon(
    stateful_set: Mapping[str, Any], container: Mapping[str, Any]
) -> None:
    prefix = "container.apparmor.security.beta.kubernetes.io/"
    annotations = stateful_set["template"]["metadata"]["annotations"]
    assert annotations == {prefix + container["name"]: "unconfined"}
    assert container["securityContext"]["appArmorProfile"] == {"type": "Unconfined"}


def test_nothing_runs_as_root_and_only_the_daemon_without_profiles(pod: Mapping[str, Any]) -> None:
    context = pod["securityContext"]
    assert (context["runAsNonRoot"], context["runAsUser"], context["fsGroup"]) == (True, 1000, 1000)
    [before] = pod["initContainers"]
    assert before["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not any(each["securityContext"].get("privileged") for each in pod["containers"])
    assert pod["automountServiceAccountToken"] is False


def test_the_volumes_permissions_are_set_but_once(pod: Mapping[str, Any]) -> None:
    assert pod["securityContext"]["fsGroupChangePolicy"] == "OnRootMismatch"


def test_one_daemon_has_the_volume_for_itself(stateful_set: Mapping[str, Any]) -> None:
    [claim] = stateful_set["volumeClaimTemplates"]
    assert stateful_set["replicas"] == 1
    assert claim["spec"]["accessModes"] == ["ReadWriteOnce"]


def test_all_that_chooses_the_pod_chooses_it(
    base: list[Manifest], stateful_set: Mapping[str, Any]
) -> None:
    labels = stateful_set["template"]["metadata"]["labels"]
    service = manifests.only(base, "Service")
    chosen = [
        stateful_set["selector"]["matchLabels"],
        service["spec"]["selector"],
        manifests.only(base, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
        manifests.only(base, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
    ]
    assert all(selector and selector.items() <= labels.items() for selector in chosen)
    assert stateful_set["serviceName"] == service["metadata"]["name"]


def test_all_of_it_is_in_the_namespace_that_it_brings(base: list[Manifest]) -> None:
    namespace = manifests.only(base, "Namespace")["metadata"]["name"]
    others = [each for each in base if each["kind"] != "Namespace"]
    assert {each["metadata"]["namespace"] for each in others} == {namespace}


def test_the_address_is_said_where_it_is_needed(base: list[Manifest]) -> None:
    service = manifests.only(base, "Service")
    name, namespace = (service["metadata"][each] for each in ("name", "namespace"))
    [port] = service["spec"]["ports"]
    url = f"tcp://{name}.{namespace}.svc.cluster.local:{port['port']}"
    assert url in (manifests.FOLDER / "kustomization.yaml").read_text()
    assert url in stack_file.text(all_options=False)


def test_the_network_admits_the_functions_pods_and_nobody_else(
    base: list[Manifest], container: Mapping[str, Any]
) -> None:
    policy = manifests.only(base, "NetworkPolicy")["spec"]
    [rule] = policy["ingress"]
    [port] = container["ports"]
    # What faas-netes puts on the pods of a function (pkg/handlers/deploy.go), and where they are.
    assert rule["from"] == [
        {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "openfaas-fn"}},
            "podSelector": {"matchLabels": {"faas_function": "builder-fn"}},
        }
    ]
    assert rule["ports"] == [{"protocol": "TCP", "port": port["containerPort"]}]
    assert policy["policyTypes"] == ["Ingress", "Egress"]


def test_steps_reach_neither_the_cluster_nor_the_clouds_credentials(base: list[Manifest]) -> None:
    names, internet = manifests.only(base, "NetworkPolicy")["spec"]["egress"]
    assert {each["port"] for each in names["ports"]} == {53}
    excepted = {net for block in internet["to"] for net in block["ipBlock"]["except"]}
    assert {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16"} < excepted


def test_a_restart_leaves_running_builds_the_time_that_builds_have(
    pod: Mapping[str, Any], container: Mapping[str, Any]
) -> None:
    command, limit, *_ = container["lifecycle"]["preStop"]["exec"]["command"]
    assert command == "timeout"
    assert int(limit) >= Settings().build_timeout
    # A build that begins while preStop waits has as long as any other.
    assert pod["terminationGracePeriodSeconds"] > int(limit) + Settings().build_timeout


def test_a_busy_daemon_is_given_minutes_before_it_is_restarted(
    container: Mapping[str, Any],
) -> None:
    liveness = container["livenessProbe"]
    assert liveness["periodSeconds"] * liveness["failureThreshold"] >= 120
    assert container["readinessProbe"]["periodSeconds"] <= 10


def test_the_cache_leaves_room_on_its_volume(
    stateful_set: Mapping[str, Any], settings: Mapping[str, Any]
) -> None:
    worker = settings["worker"]["oci"]
    [claim] = stateful_set["volumeClaimTemplates"]
    volume = number_of_bytes(claim["spec"]["resources"]["requests"]["storage"])
    reserved, used, free = (
        number_of_bytes(worker[name]) for name in ("reservedSpace", "maxUsedSpace", "minFreeSpace")
    )
    assert worker["gc"] is True
    assert reserved < used
    # A file system keeps 5 % for root, and history and snapshots in use are not the cache's.
    assert used + free < volume * 0.9


def test_the_history_outlives_a_queues_patience(settings: Mapping[str, Any]) -> None:
    history = settings["history"]
    assert go_duration.seconds(history["maxAge"]) >= 24 * 3600
    assert history["maxEntries"] >= 100


def test_the_log_of_a_step_is_never_clipped(container: Mapping[str, Any]) -> None:
    environment = {each["name"]: each["value"] for each in container["env"]}
    assert environment["BUILDKIT_STEP_LOG_MAX_SIZE"] == "-1"
    assert environment["BUILDKIT_STEP_LOG_MAX_SPEED"] == "-1"
    assert f"--addr={environment['BUILDKIT_HOST']}" in container["args"]


def test_a_changed_buildkitd_toml_restarts_the_daemon(
    base: list[Manifest], pod: Mapping[str, Any]
) -> None:
    mounted = {each["configMap"]["name"] for each in pod["volumes"] if "configMap" in each}
    name = manifests.only(base, "ConfigMap")["metadata"]["name"]
    assert mounted == {name}
    assert name.startswith("buildkitd-config-")  # the hash of its content follows


def test_cert_manager_takes_every_field(tmp_path: Path) -> None:
    custom = certificates(tmp_path)
    assert len(custom) == 5
    for manifest in custom:
        schemas.check_custom(manifest)
        misspelt = {**manifest, "spec": {**manifest["spec"], "secretsName": "x"}}
        with pytest.raises(jsonschema.ValidationError, match="secretsName"):
            schemas.check_custom(misspelt)


def test_the_authoritys_key_is_where_no_function_can_mount_it(tmp_path: Path) -> None:
    authority = manifests.only(certificates(tmp_path), "Certificate", "buildkit-authority")
    issuer = manifests.only(certificates(tmp_path), "ClusterIssuer", "buildkit-authority")
    assert authority["metadata"]["namespace"] == "cert-manager"
    assert issuer["spec"]["ca"]["secretName"] == authority["spec"]["secretName"]


def test_the_component_changes_nothing_else(base: list[Manifest], tmp_path: Path) -> None:
    complete = manifests.with_component("cert-manager", tmp_path)
    assert [each for each in complete if each in base] == base


def certificates(scratch: Path) -> list[Manifest]:
    complete = manifests.with_component("cert-manager", scratch)
    return [each for each in complete if each["apiVersion"].startswith("cert-manager.io/")]
