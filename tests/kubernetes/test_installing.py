"""scripts/kubernetes on a real API server, as README's own lines install it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ..live.waiting import wait_until
from . import defaults, manifests, operating, readme, secrets_script

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .cluster import Cluster
    from .conftest import StartCluster
    from .kubelet import Kubelet
    from .operating import Operator

pytestmark = [pytest.mark.programs, pytest.mark.root]

DAEMONS = {"buildkitd-0", "buildkitd-1", "buildkitd-2"}
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
SECRETS = {
    "buildkit": {"buildkitd-tls"},
    "openfaas-fn": {"buildkit-client", "payload-secret", "build-secrets-key", "config.json"},
}


@pytest.fixture(scope="module")
def installed(
    shared: tuple[Cluster, Kubelet], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Operator]:
    """Yield an operator that has installed everything twice."""
    operator = operating.with_clone(*shared, tmp_path_factory.mktemp("clone") / "clone")
    for _ in range(2):
        operator.follow("Install")
    yield operator
    operator.clear()


@pytest.fixture(scope="module")
def pod(installed: Operator) -> Mapping[str, Any]:
    return installed.pods()["buildkitd-0"]


def test_what_was_repeated_has_changed_nothing(installed: Operator) -> None:
    assert installed.stateful_set()["metadata"]["generation"] == 1
    compared = installed.cluster.shell(
        "kubectl diff --server-side -k scripts/kubernetes", installed.clone
    )
    assert (compared.returncode, compared.stdout) == (0, "")


def test_a_server_side_dry_run_takes_every_field(installed: Operator) -> None:
    script = "kubectl apply --server-side --dry-run=server --validate=strict -k scripts/kubernetes"
    said = installed.run(script).stdout.splitlines()
    assert len(said) == len(manifests.base())
    assert all(line.endswith("serverside-applied (server dry run)") for line in said)


def test_the_server_adds_nothing_that_we_do_not_know_of(installed: Operator) -> None:
    for manifest in manifests.base():
        added = defaults.added(manifest, installed.cluster.ask("GET", defaults.path(manifest)))
        assert added == defaults.EXPECTED.get(manifest["kind"], {}), manifest["metadata"]["name"]


def test_each_daemon_has_a_node_and_a_volume_of_its_own(installed: Operator) -> None:
    installed.settled(3)
    pods, claims = installed.pods(), installed.claims()
    assert set(pods) == DAEMONS
    assert len({pod["spec"]["nodeName"] for pod in pods.values()}) == 3
    assert {(each["status"]["phase"], each["spec"]["volumeMode"]) for each in claims.values()} == {
        ("Bound", "Filesystem")
    }
    assert len({each["spec"]["volumeName"] for each in claims.values()}) == 3
    for name, pod in pods.items():
        [used] = [
            volume["persistentVolumeClaim"]["claimName"]
            for volume in pod["spec"]["volumes"]
            if "persistentVolumeClaim" in volume
        ]
        assert used == f"state-{name}"


@pytest.mark.parametrize(
    ("service", "daemons"),
    [
        ("buildkitd", {"buildkitd-0"}),
        ("buildkitd-pool", DAEMONS),
        ("buildkitd-lookup", DAEMONS),
    ],
)
def test_a_name_stands_for_its_daemons(
    installed: Operator, service: str, daemons: set[str]
) -> None:
    wait_until(lambda: installed.endpoints(service) == daemons)


def test_only_the_name_of_one_daemon_has_an_address_of_its_own(installed: Operator) -> None:
    services = installed.cluster.items("/api/v1/namespaces/buildkit/services")
    addresses = {each["metadata"]["name"]: each["spec"]["clusterIP"] for each in services}
    assert addresses.pop("buildkitd") != "None"
    assert addresses == {"buildkitd-pool": "None", "buildkitd-lookup": "None"}


def test_one_daemon_at_a_time_may_be_evicted(installed: Operator) -> None:
    def status() -> dict[str, Any]:
        path = "/apis/policy/v1/namespaces/buildkit/poddisruptionbudgets/buildkitd"
        found: dict[str, Any] = installed.cluster.ask("GET", path).get("status", {})
        return found

    wait_until(lambda: status().get("disruptionsAllowed") == 1)
    assert (status()["expectedPods"], status()["desiredHealthy"]) == (3, 2)


def test_every_secret_is_there_and_no_key_is_anywhere_else(installed: Operator) -> None:
    for namespace, names in SECRETS.items():
        found = installed.cluster.items(f"/api/v1/namespaces/{namespace}/secrets")
        assert {each["metadata"]["name"] for each in found} == names
        for secret in found:
            assert LAST_APPLIED not in secret["metadata"].get("annotations", {})


def test_a_step_has_a_process_sandbox_in_a_pod_with_users_of_its_own(
    pod: Mapping[str, Any],
) -> None:
    [container] = pod["spec"]["containers"]
    assert pod["spec"]["hostUsers"] is False
    assert container["securityContext"]["procMount"] == "Unmasked"
    assert "--oci-worker-no-process-sandbox" not in container["args"]


@pytest.mark.parametrize("component", [None, "no-process-sandbox"])
@pytest.mark.parametrize(
    ("level", "objections"),
    [
        ("privileged", None),
        ("baseline", {"forbidden AppArmor profile", "seccompProfile"}),
        ("restricted", {"forbidden AppArmor profile", "allowPrivilegeEscalation != false"}),
    ],
)
def test_pod_security_admits_it_at_the_level_of_its_namespace_alone(
    installed: Operator, level: str, objections: set[str] | None, component: str | None
) -> None:
    script = (
        f"kubectl label namespace default --overwrite pod-security.kubernetes.io/enforce={level}"
    )
    installed.run(script)
    [template] = [
        each["spec"]["template"]
        for each in manifests.of(component, installed.clone / "pod-security")
        if each["kind"] == "StatefulSet"
    ]
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "buildkitd", "labels": template["metadata"]["labels"]},
        "spec": template["spec"]
        | {"volumes": [*template["spec"]["volumes"], {"name": "state", "emptyDir": {}}]},
    }
    asked = installed.cluster.ask("POST", "/api/v1/namespaces/default/pods?dryRun=All", pod)
    if objections is None:
        assert asked["kind"] == "Pod", asked
        assert asked["spec"].get("hostUsers") == (None if component else False)
    else:
        assert asked["reason"] == "Forbidden"
        assert f'violates PodSecurity "{level}:latest"' in asked["message"]
        assert all(objection in asked["message"] for objection in objections), asked["message"]


def test_without_users_of_its_own_no_pod_may_see_all_of_proc(installed: Operator) -> None:
    stateful_set = manifests.only(manifests.base(), "StatefulSet")
    del stateful_set["spec"]["template"]["spec"]["hostUsers"]
    asked = installed.cluster.ask("PUT", f"{operating.STATEFUL_SET}?dryRun=All", stateful_set)
    assert asked["reason"] == "Invalid"
    assert "hostUsers" in asked["message"]


def test_the_namespace_is_not_deleted_in_passing(installed: Operator) -> None:
    asked = installed.cluster.shell(
        "kubectl delete namespace buildkit --dry-run=server", installed.clone
    )
    assert asked.returncode == 1
    assert "This would delete every volume of the daemons" in asked.stderr


def test_other_namespaces_are_deleted_as_ever(installed: Operator) -> None:
    installed.run("kubectl delete namespace openfaas --dry-run=server")


def test_the_oldest_kubernetes_that_we_name_drops_nothing(
    start_cluster: StartCluster, tmp_path: Path
) -> None:
    text = (manifests.FOLDER / "README.md").read_text()
    [version] = re.findall(r"^\| Kubernetes \| (\S+) or later", text, re.MULTILINE)
    collection, _, _ = operating.STATEFUL_SET.rpartition("/")
    with start_cluster(version=version, apiserver_only=True) as cluster:
        cluster.create(manifests.only(manifests.base(), "Namespace"))
        for component in (None, "no-process-sandbox"):
            wanted = manifests.only(manifests.of(component, tmp_path / "overlay"), "StatefulSet")
            made = cluster.ask("POST", f"{collection}?dryRun=All", wanted)
            assert defaults.missing(wanted, made) == set()


def test_the_secrets_are_what_the_script_printed(installed: Operator) -> None:
    for secret in secrets_script.printed(installed.clone / "keys"):
        path = defaults.path(secret)
        assert installed.cluster.ask("GET", path)["data"] == secret["data"]


def test_every_block_of_commands_is_run_by_a_test() -> None:
    tests = "".join(file.read_text() for file in Path(__file__).parent.glob("test_*.py"))
    for section, blocks in readme.sections().items():
        assert bool(blocks) == (f'"{section}"' in tests), section
