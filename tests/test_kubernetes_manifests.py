"""scripts/kubernetes: what a cluster takes, and what its parts must know of each other."""

from __future__ import annotations

import functools
import ipaddress
import tomllib
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stack.install.programs import BUILDKIT_VERSION

from function import go_duration
from function.callbacks.attempt import is_public
from function.config import Settings

from . import stack_file
from .kubernetes import manifests, schemas

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from .kubernetes.manifests import Manifest

    IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

# kubectl makes every manifest.
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


FLAG = "--oci-worker-no-process-sandbox"
PARTS = ("metadata", "spec")
# Once: the properties ask for it hundreds of times.
BASE = functools.cache(manifests.base)


def number_of_bytes(text: str) -> int:
    return int(text[:-2]) * UNITS[text[-2:]]


@pytest.mark.parametrize("version", schemas.VERSIONS)
def test_every_supported_kubernetes_takes_every_field(base: list[Manifest], version: str) -> None:
    for manifest in base:
        schemas.check(manifest, version)


def test_a_field_that_no_kubernetes_knows_would_be_noticed(base: list[Manifest]) -> None:
    service = manifests.only(base, "Service", "buildkitd")
    misspelt = {**service, "spec": {**service["spec"], "selectors": {}}}
    with pytest.raises(schemas.ValidationError, match="selectors"):
        schemas.check(misspelt, schemas.VERSIONS[-1])


def test_the_daemon_is_the_one_that_the_tests_run_by_its_digest(pod: Mapping[str, Any]) -> None:
    [job] = manifests.built(manifests.FOLDER / "upgrade")
    containers = (
        *pod["initContainers"],
        *pod["containers"],
        *job["spec"]["template"]["spec"]["containers"],
    )
    [image] = {each["image"] for each in containers}
    name, _, digest = image.partition("@sha256:")
    assert name == f"moby/buildkit:{BUILDKIT_VERSION}-rootless"
    assert len(bytes.fromhex(digest)) == 32


def test_no_profile_keeps_the_daemon_from_making_its_user_namespace(
    container: Mapping[str, Any],
) -> None:
    context = container["securityContext"]
    assert context["appArmorProfile"] == context["seccompProfile"] == {"type": "Unconfined"}


def test_steps_have_a_process_sandbox(pod: Mapping[str, Any], container: Mapping[str, Any]) -> None:
    assert pod["hostUsers"] is False
    assert container["securityContext"]["procMount"] == "Unmasked"
    assert FLAG not in container["args"]


def test_the_subordinate_ids_are_all_others_that_the_pod_has(base: list[Manifest]) -> None:
    ranges = [
        [int(number) for number in line.split(":")[1:]]
        for line in manifests.only(base, "ConfigMap")["data"]["subordinate-ids"].splitlines()
    ]
    ids = [number for first, count in ranges for number in range(first, first + count)]
    # Of a pod's 65,536: neither its root's nor the daemon's. In images they are 1 to 65,534, with nobody.
    assert ids == [number for number in range(1, 65536) if number != 1000]
    [job] = manifests.built(manifests.FOLDER / "upgrade")
    [container] = job["spec"]["template"]["spec"]["containers"]
    [told] = container["env"]
    assert told["value"] == manifests.only(base, "ConfigMap")["data"]["subordinate-ids"].strip()


def test_an_operator_without_a_sandbox_is_told_the_price_first(tmp_path: Path) -> None:
    first, *_ = (
        (manifests.FOLDER / "no-process-sandbox" / "kustomization.yaml").read_text().splitlines()
    )
    assert first.startswith("# THE PRICE: ")
    assert "read the secrets of all other builds" in first
    without = manifests.only(
        manifests.with_components(tmp_path, "no-process-sandbox"), "StatefulSet"
    )["spec"]["template"]["spec"]
    assert FLAG in without["containers"][0]["args"]
    assert "hostUsers" not in without
    assert "procMount" not in without["containers"][0]["securityContext"]
    mounts = [
        mount["mountPath"]
        for each in (*without["containers"], *without["initContainers"])
        for mount in each["volumeMounts"]
    ]
    # Those of the image again.
    assert not {"/etc/subuid", "/etc/subgid"} & set(mounts)


@pytest.mark.parametrize(
    "names",
    [
        ("arm64",),
        ("autoscaling", "arm64"),
        ("arm64", "autoscaling", "cert-manager", "no-process-sandbox"),
    ],
)
def test_components_go_together(tmp_path: Path, names: tuple[str, ...]) -> None:
    sets = {
        each["metadata"]["name"]: each["spec"]
        for each in manifests.with_components(tmp_path, *names)
        if each["kind"] == "StatefulSet"
    }
    assert set(sets) == {"buildkitd", "buildkitd-arm64"}
    for name, spec in sets.items():
        [container] = spec["template"]["spec"]["containers"]
        assert (FLAG in container["args"]) == ("no-process-sandbox" in names)
        wanted = "arm64" if name == "buildkitd-arm64" else "amd64"
        assert spec["template"]["spec"]["nodeSelector"] == {"kubernetes.io/arch": wanted}
    assert sets["buildkitd-arm64"]["replicas"] == 3
    assert ("replicas" in sets["buildkitd"]) == ("autoscaling" not in names)


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
    assert claim["spec"]["accessModes"] == ["ReadWriteOnce"]
    # One that comes back has its cache.
    kept = {"whenDeleted": "Retain", "whenScaled": "Retain"}
    assert stateful_set["persistentVolumeClaimRetentionPolicy"] == kept


def test_the_pool_is_spread_over_nodes_and_zones(
    stateful_set: Mapping[str, Any], pod: Mapping[str, Any]
) -> None:
    assert (stateful_set["replicas"], stateful_set["podManagementPolicy"]) == (3, "Parallel")
    spread = {each["topologyKey"]: each for each in pod["topologySpreadConstraints"]}
    assert set(spread) == {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}
    # A cluster of one node has a pool, too.
    assert {each["whenUnsatisfiable"] for each in spread.values()} == {"ScheduleAnyway"}


def test_all_that_chooses_the_pod_chooses_it(
    base: list[Manifest], stateful_set: Mapping[str, Any]
) -> None:
    labels = stateful_set["template"]["metadata"]["labels"]
    pool = manifests.only(base, "Service", "buildkitd-pool")
    chosen = [
        stateful_set["selector"]["matchLabels"],
        pool["spec"]["selector"],
        manifests.only(base, "Service", "buildkitd-lookup")["spec"]["selector"],
        manifests.only(base, "NetworkPolicy", "buildkitd")["spec"]["podSelector"]["matchLabels"],
        manifests.only(base, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
    ]
    assert all(selector and selector.items() <= labels.items() for selector in chosen)
    assert stateful_set["serviceName"] == pool["metadata"]["name"]
    single = dict(manifests.only(base, "Service", "buildkitd")["spec"]["selector"])
    name = manifests.only(base, "StatefulSet")["metadata"]["name"]
    assert single.pop("statefulset.kubernetes.io/pod-name") == f"{name}-0"
    assert single.items() <= labels.items()


def test_all_of_it_is_in_the_namespace_that_it_brings(base: list[Manifest]) -> None:
    namespace = manifests.only(base, "Namespace")["metadata"]["name"]
    others = [each for each in base if "namespace" in each["metadata"]]
    # But for the list of those that may call the function.
    others.remove(manifests.only(base, "NetworkPolicy", "builder-fn"))
    assert {each["metadata"]["namespace"] for each in others} == {namespace}


@pytest.mark.parametrize(
    ("service", "place"),
    [
        ("buildkitd", "README.md"),
        ("buildkitd-pool", "README.md"),
        ("buildkitd-pool", "stack.yml"),
        ("buildkitd-lookup", "stack.yml"),
    ],
)
def test_the_addresses_are_said_where_they_are_needed(
    base: list[Manifest], service: str, place: str
) -> None:
    metadata = manifests.only(base, "Service", service)["metadata"]
    [port] = manifests.only(base, "Service", service)["spec"]["ports"]
    url = f"tcp://{service}.{metadata['namespace']}.svc.cluster.local:{port['port']}"
    texts = {
        "README.md": (manifests.FOLDER / "README.md").read_text(),
        "stack.yml": stack_file.text(all_options=False),
    }
    assert url in texts[place]


def test_one_that_must_go_is_asked_and_given_nothing(base: list[Manifest]) -> None:
    pool, lookup = (
        manifests.only(base, "Service", name)["spec"]
        for name in ("buildkitd-pool", "buildkitd-lookup")
    )
    assert pool["clusterIP"] == lookup["clusterIP"] == "None"
    assert lookup["publishNotReadyAddresses"] is True
    assert "publishNotReadyAddresses" not in pool


def test_the_network_admits_the_functions_pods_and_nobody_else(
    base: list[Manifest], container: Mapping[str, Any]
) -> None:
    policy = manifests.only(base, "NetworkPolicy", "buildkitd")["spec"]
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


def test_the_function_is_called_by_the_gateway_and_prometheus_alone(
    base: list[Manifest],
) -> None:
    metadata, spec = (manifests.only(base, "NetworkPolicy", "builder-fn")[key] for key in PARTS)
    assert metadata["namespace"] == "openfaas-fn"
    assert spec["podSelector"] == {"matchLabels": {"faas_function": "builder-fn"}}
    assert spec["policyTypes"] == ["Ingress"]
    [rule] = spec["ingress"]
    [source] = rule["from"]
    assert source["namespaceSelector"] == {
        "matchLabels": {"kubernetes.io/metadata.name": "openfaas"}
    }
    [expression] = source["podSelector"]["matchExpressions"]
    assert expression == {"key": "app", "operator": "In", "values": ["gateway", "prometheus"]}
    assert rule["ports"] == [{"protocol": "TCP", "port": 8080}]


def test_names_are_asked_of_the_clusters_dns_alone(base: list[Manifest]) -> None:
    names, _ = manifests.only(base, "NetworkPolicy", "buildkitd")["spec"]["egress"]
    assert {(each["protocol"], each["port"]) for each in names["ports"]} == {
        ("UDP", 53),
        ("TCP", 53),
    }
    assert names["to"] == [
        {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
            "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
        }
    ]


def reached(address: IPAddress) -> bool:
    """Tell whether a step may connect to the address: in a block, and in none that it leaves out."""
    _, internet = manifests.only(BASE(), "NetworkPolicy", "buildkitd")["spec"]["egress"]
    assert "ports" not in internet
    return any(
        address in ipaddress.ip_network(block["ipBlock"]["cidr"])
        and not any(address in ipaddress.ip_network(net) for net in block["ipBlock"]["except"])
        for block in internet["to"]
    )


@pytest.mark.parametrize(
    "address",
    [
        *("10.0.0.1", "10.96.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1"),
        "169.254.169.254",  # the metadata of most clouds
        "168.63.129.16",  # Azure
        "192.0.0.192",  # Oracle
        "100.100.100.200",  # Alibaba
        *("198.18.0.1", "198.19.255.255"),
        *("127.0.0.1", "0.0.0.0", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255"),  # noqa: S104
        *("::", "::1", "::a9fe:a9fe", "fe80::1", "fec0::1", "ff02::1"),
        *("fd00:ec2::254", "fd20:ce::254"),  # Amazon, Google
        "64:ff9b::a9fe:a9fe",  # 169.254.169.254 by NAT64
        *("64:ff9b::a00:1", "64:ff9b:1::a9fe:a9fe"),
        "2002:a9fe:a9fe::1",  # the same by 6to4
        *("2002:a00:1::", "192.88.99.1"),
        "2001:0:a9fe:a9fe::",  # Teredo
    ],
)
def test_steps_reach_neither_the_cluster_nor_the_clouds_credentials(address: str) -> None:
    assert not reached(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "address",
    [
        *("1.1.1.1", "140.82.121.4", "168.63.129.15", "192.0.1.1", "198.17.255.255"),
        *("198.20.0.1", "172.32.0.1", "100.128.0.1", "223.255.255.255"),
        *("2606:4700:4700::1111", "2a00:1450::1", "2600::1"),
    ],
)
def test_steps_reach_the_internet(address: str) -> None:
    assert reached(ipaddress.ip_address(address))


@given(st.ip_addresses())
def test_no_address_that_is_not_the_internets_is_reached(address: IPAddress) -> None:
    if not address.is_global or address.is_multicast:
        assert not reached(address)


@given(st.ip_addresses(v=4).filter(lambda address: not address.is_global))
def test_no_such_address_is_reached_as_another_one(address: ipaddress.IPv4Address) -> None:
    number = int(address)
    for prefix, shift in (("64:ff9b::", 0), ("64:ff9b:1::", 0), ("2002::", 80), ("::", 0)):
        inside = int(ipaddress.IPv6Address(prefix)) | number << shift
        assert not reached(ipaddress.IPv6Address(inside))


def left_out() -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    _, internet = manifests.only(BASE(), "NetworkPolicy", "buildkitd")["spec"]["egress"]
    return [
        ipaddress.ip_network(net) for block in internet["to"] for net in block["ipBlock"]["except"]
    ]


@given(st.data())
def test_callbacks_reach_nothing_that_steps_do_not(data: st.DataObject) -> None:
    # NAT64 is judged by the address inside, since a network without IPv4 has no other way to it.
    networks = [net for net in left_out() if net != ipaddress.IPv6Network("64:ff9b::/96")]
    net = data.draw(st.sampled_from(networks))
    inside = st.integers(0, net.num_addresses - 1).map(lambda number: net[number])
    address = data.draw(st.sampled_from([net[0], net[-1]]) | inside)

    assert not is_public(str(address))


@given(st.ip_addresses())
def test_callbacks_reach_all_that_steps_do_of_the_internet(address: IPAddress) -> None:
    if reached(address) and (address.version == 4 or address in ipaddress.ip_network("2000::/3")):
        assert is_public(str(address))


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
    complete = manifests.with_components(tmp_path, "cert-manager")
    assert [each for each in complete if each in base] == base


def certificates(scratch: Path) -> list[Manifest]:
    complete = manifests.with_components(scratch, "cert-manager")
    return [each for each in complete if each["apiVersion"].startswith("cert-manager.io/")]
