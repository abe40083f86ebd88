"""An installation is changed as README says, on a real API server with its controllers."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from ..live.waiting import wait_until
from . import manifests, readme
from .operating import NAMESPACE, PODS

if TYPE_CHECKING:
    from .operating import Operator

pytestmark = [pytest.mark.programs, pytest.mark.root]

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
SANDBOX = "--oci-worker-no-process-sandbox"
OVERLAY = "A kustomization of your own"
UPGRADE = "Upgrading from one daemon"


def scaled(operator: Operator, daemons: int) -> None:
    """Apply README's own kustomization with this number of daemons."""
    [block] = readme.sections()[OVERLAY]
    operator.run(re.sub(r"count: \d+", f"count: {daemons}", block))


def volumes(operator: Operator) -> dict[str, str]:
    return {name: claim["spec"]["volumeName"] for name, claim in operator.claims().items()}


def ids(operator: Operator) -> dict[str, str]:
    """Return the uids of pods by name: another pod of the same name is another daemon's life."""
    return {name: pod["metadata"]["uid"] for name, pod in operator.pods().items()}


def stands_for(operator: Operator, service: str, daemons: set[str]) -> bool:
    return operator.endpoints(service) == daemons


def arguments(pod: dict[str, Any]) -> list[str]:
    found: list[str] = pod["spec"]["containers"][0]["args"]
    return found


def test_without_openfaas_the_first_line_says_so_and_nothing_is_done(operator: Operator) -> None:
    operator.run("kubectl delete namespace openfaas-fn")
    [block] = readme.sections()["Install"]
    ended = operator.cluster.shell(block, operator.clone)
    assert ended.returncode == 1
    assert 'namespaces "openfaas-fn" not found' in ended.stderr
    assert operator.cluster.ask("GET", "/api/v1/namespaces/buildkit")["reason"] == "NotFound"
    # What was begun in the wrong order is ended by doing it again.
    half = operator.cluster.shell("\n".join(block.splitlines()[1:3]), operator.clone)
    assert half.returncode != 0
    operator.run("kubectl create namespace openfaas-fn")
    operator.follow("Install")


def test_a_pool_grows_and_shrinks_and_each_daemon_finds_its_volume_again(
    operator: Operator,
) -> None:
    operator.follow("Install")
    scaled(operator, 1)
    operator.settled(1)
    scaled(operator, 3)
    operator.settled(3)
    before = volumes(operator)
    operator.kubelet.draining.add("buildkitd-2")
    scaled(operator, 2)
    # It builds on: asked, but given nothing more.
    wait_until(lambda: operator.endpoints("buildkitd-pool") == {"buildkitd-0", "buildkitd-1"})
    wait_until(lambda: "deletionTimestamp" in operator.pods()["buildkitd-2"]["metadata"])
    assert "buildkitd-2" in operator.endpoints("buildkitd-lookup")
    assert operator.pods()["buildkitd-2"]["metadata"]["deletionGracePeriodSeconds"] == 3660
    operator.kubelet.draining.clear()
    operator.settled(2)
    wait_until(lambda: operator.endpoints("buildkitd-lookup") == {"buildkitd-0", "buildkitd-1"})
    assert volumes(operator) == before
    scaled(operator, 3)
    operator.settled(3)
    assert volumes(operator) == before


def test_a_number_that_kubectl_scale_has_set_is_not_set_back_in_silence(
    operator: Operator,
) -> None:
    operator.follow("Install")
    operator.run("kubectl scale statefulset buildkitd --namespace buildkit --replicas=2")
    applied = operator.cluster.shell(
        "kubectl apply --server-side -k scripts/kubernetes", operator.clone
    )
    assert applied.returncode == 1
    assert ".spec.replicas" in applied.stderr
    operator.settled(2)


def test_a_volume_is_given_up_by_deleting_its_claim(operator: Operator) -> None:
    operator.follow("Install")
    scaled(operator, 5)
    operator.settled(5)
    scaled(operator, 3)
    operator.settled(3)
    text = (manifests.FOLDER / "README.md").read_text()
    [line] = re.findall(r"`(kubectl delete pvc .*?)`", text)
    operator.run(line)
    assert "state-buildkitd-4" not in operator.claims()
    assert "state-buildkitd-3" in operator.claims()


def test_one_daemon_alone_is_not_evicted(operator: Operator) -> None:
    operator.follow("Install")
    operator.follow("More daemons, or fewer", 0)
    operator.settled(1)
    drained = operator.cluster.shell(
        f"kubectl drain {operator.pods()['buildkitd-0']['spec']['nodeName']} --timeout=2s",
        operator.clone,
    )
    assert drained.returncode == 1
    assert "disruption budget" in drained.stderr
    assert operator.endpoints("buildkitd") == {"buildkitd-0"}


def test_a_drain_evicts_one_daemon_at_a_time(operator: Operator) -> None:
    operator.follow("Install")
    operator.settled(3)
    path = "/apis/policy/v1/namespaces/buildkit/poddisruptionbudgets/buildkitd"
    wait_until(
        lambda: operator.cluster.ask("GET", path).get("status", {}).get("disruptionsAllowed") == 1
    )
    operator.kubelet.draining.add("buildkitd-1")
    nodes = {name: pod["spec"]["nodeName"] for name, pod in operator.pods().items()}

    def evict(name: str) -> dict[str, Any]:
        eviction = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": name, "namespace": "buildkit"},
        }
        return operator.cluster.ask("POST", f"{PODS}/{name}/eviction", eviction)

    operator.run(f"kubectl cordon {nodes['buildkitd-1']}")
    assert evict("buildkitd-1")["status"] == "Success"
    assert evict("buildkitd-2")["reason"] == "TooManyRequests"
    operator.kubelet.draining.clear()
    operator.settled(3)
    assert operator.pods()["buildkitd-1"]["spec"]["nodeName"] != nodes["buildkitd-1"]


def test_a_mistake_in_buildkitd_toml_stops_at_one_daemon_and_is_mended_by_applying(
    operator: Operator,
) -> None:
    operator.follow("Install")
    operator.settled(3)
    before = ids(operator)
    file = operator.clone / "scripts" / "kubernetes" / "buildkitd.toml"
    right = file.read_text()
    file.write_text(right + "\n[worker.oci\n")
    apply = "kubectl apply --server-side -k scripts/kubernetes"
    operator.run(apply)
    wait_until(lambda: ids(operator).get("buildkitd-2") not in {None, before["buildkitd-2"]})
    wait_until(lambda: operator.endpoints("buildkitd-pool") == {"buildkitd-0", "buildkitd-1"})
    assert {**ids(operator), "buildkitd-2": ""} == {**before, "buildkitd-2": ""}
    file.write_text(right + "\n# corrected\n")
    operator.run(apply)
    operator.settled(3)
    assert not set(ids(operator).values()) & set(before.values())


def test_volumes_grow_without_a_restart(operator: Operator) -> None:
    operator.follow("Install")
    operator.settled(3)
    before = ids(operator)
    operator.run("mkdir buildkit")
    operator.follow("Storage")
    assert {
        claim["spec"]["resources"]["requests"]["storage"] for claim in operator.claims().values()
    } == {"100Gi"}
    [template] = operator.stateful_set()["spec"]["volumeClaimTemplates"]
    assert template["spec"]["resources"]["requests"]["storage"] == "100Gi"
    operator.settled(3)
    assert ids(operator) == before


def test_a_second_pool_is_on_arm64_nodes_and_behind_the_same_names(operator: Operator) -> None:
    operator.follow("Install")
    operator.follow("Daemons for arm64")
    operator.settled(3)
    operator.settled(2, "buildkitd-arm64")
    nodes = operator.cluster.items("/api/v1/nodes")
    architecture = {
        node["metadata"]["name"]: node["metadata"]["labels"]["kubernetes.io/arch"] for node in nodes
    }
    for name, pod in operator.pods().items():
        wanted = "arm64" if name.startswith("buildkitd-arm64-") else "amd64"
        assert architecture[pod["spec"]["nodeName"]] == wanted
    all_of_them = set(operator.pods())
    assert len(all_of_them) == 5
    for service in ("buildkitd-pool", "buildkitd-lookup"):
        wait_until(functools.partial(stands_for, operator, service, all_of_them))
    assert operator.endpoints("buildkitd") == {"buildkitd-0"}


def test_a_running_pool_keeps_its_number_while_autoscaling_takes_it_over(
    operator: Operator,
) -> None:
    operator.follow("Install")
    operator.settled(3)
    before = ids(operator)
    operator.follow("Autoscaling")
    assert operator.stateful_set()["spec"]["replicas"] == 3
    path = "/apis/autoscaling/v2/namespaces/buildkit/horizontalpodautoscalers/buildkitd"
    wait_until(
        lambda: operator.cluster.ask("GET", path).get("status", {}).get("currentReplicas") == 3
    )
    # As the autoscaler sets it; what is applied later leaves that alone.
    number = {"spec": {"replicas": 4}}
    operator.cluster.ask(
        "PATCH",
        "/apis/apps/v1/namespaces/buildkit/statefulsets/buildkitd/scale?fieldManager=autoscaler",
        number,
        "application/merge-patch+json",
    )
    operator.settled(4)
    operator.run("kubectl apply --server-side -k buildkit")
    assert operator.stateful_set()["spec"]["replicas"] == 4
    assert before.items() <= ids(operator).items()


def test_a_new_pool_with_autoscaling_has_the_least_number_at_once(operator: Operator) -> None:
    _, _, apply_secrets, _ = readme.sections()["Install"][0].splitlines()
    overlay = "\n".join(readme.sections()["Autoscaling"][0].splitlines()[1:])
    operator.run(f"{overlay}\n{apply_secrets}")
    operator.settled(3)


def test_certificates_are_renewed_and_the_daemons_restarted(operator: Operator) -> None:
    operator.follow("Install")
    operator.settled(3)
    before = ids(operator)
    secret = "/api/v1/namespaces/buildkit/secrets/buildkitd-tls"
    old = operator.cluster.ask("GET", secret)["data"]
    operator.follow("Certificates", 0)
    new = operator.cluster.ask("GET", secret)["data"]
    assert new["ca.crt"] == old["ca.crt"]
    assert new["tls.crt"] != old["tls.crt"]
    operator.settled(3)
    assert not set(ids(operator).values()) & set(before.values())


def test_cert_manager_is_asked_for_the_secrets_that_are_mounted(operator: Operator) -> None:
    definitions = operator.cluster.tools.definitions
    created = operator.cluster.kubectl("create", "-f", definitions)
    assert created.returncode == 0, created.stderr
    operator.run("kubectl wait --for=condition=Established --all customresourcedefinitions")
    operator.follow("Certificates", 1)
    certificates = operator.cluster.items("/apis/cert-manager.io/v1/certificates")
    made = {(each["metadata"]["namespace"], each["spec"]["secretName"]) for each in certificates}
    assert made == {
        ("cert-manager", "buildkit-authority"),
        ("buildkit", "buildkitd-tls"),
        ("openfaas-fn", "buildkit-client"),
    }
    secrets = operator.cluster.items("/api/v1/namespaces/openfaas-fn/secrets")
    assert {each["metadata"]["name"] for each in secrets} == {
        "payload-secret",
        "build-secrets-key",
        "config.json",
    }


def test_without_user_namespaces_the_named_component_runs_it_as_before(
    operator: Operator,
) -> None:
    operator.follow("Install")
    operator.follow("Without user namespaces")
    operator.settled(3)
    for pod in operator.pods().values():
        assert SANDBOX in arguments(pod)
        assert pod["spec"].get("hostUsers") is None
        assert "procMount" not in pod["spec"]["containers"][0]["securityContext"]


@pytest.fixture
def single(operator: Operator) -> Operator:
    """Return an operator with one daemon of an older version, all of it applied from the client."""
    operator.run(
        f"kubectl apply -f {manifests.SINGLE_DAEMON}\nscripts/kubernetes/secrets keys | kubectl apply -f -\n"
        "kubectl rollout status statefulset/buildkitd --namespace buildkit"
    )
    return operator


def test_one_daemon_becomes_a_pool_with_its_volume_and_without_a_break(single: Operator) -> None:
    volume = volumes(single)["state-buildkitd-0"]
    before = ids(single)["buildkitd-0"]
    # It builds, and the rest of the pool starts beside it.
    single.kubelet.draining.add("buildkitd-0")
    single.follow(UPGRADE, 0)
    wait_until(lambda: single.endpoints("buildkitd-pool") == {"buildkitd-1", "buildkitd-2"})
    assert ids(single)["buildkitd-0"] == before
    assert single.endpoints("buildkitd-lookup") == {"buildkitd-0", "buildkitd-1", "buildkitd-2"}
    single.kubelet.draining.clear()
    single.settled(3)
    assert volumes(single)["state-buildkitd-0"] == volume
    single.follow(UPGRADE, 2)
    assert_no_copies_of_keys(single)


def test_one_daemon_becomes_a_pool_with_a_sandbox_and_its_volume(single: Operator) -> None:
    volume = volumes(single)["state-buildkitd-0"]
    single.follow(UPGRADE, 1, 2)
    single.settled(3)
    assert volumes(single)["state-buildkitd-0"] == volume
    assert single.pods()["buildkitd-0"]["spec"]["hostUsers"] is False
    assert_no_copies_of_keys(single)
    # What is applied from now on finds nothing to argue about.
    single.follow("Install")


def test_the_upgrades_job_works_on_the_volume_of_the_first_daemon(single: Operator) -> None:
    [job] = manifests.built(manifests.FOLDER / "upgrade")
    pod = job["spec"]["template"]["spec"]
    assert pod["volumes"] == [
        {"name": "state", "persistentVolumeClaim": {"claimName": next(iter(single.claims()))}}
    ]


def test_an_operator_that_applied_from_the_client_can_go_on_from_the_server(
    operator: Operator,
) -> None:
    operator.run("kubectl apply -k scripts/kubernetes")
    operator.follow("Install")
    applied = yaml.safe_load(
        operator.run(
            "kubectl get statefulset buildkitd --namespace buildkit --show-managed-fields -o yaml"
        ).stdout
    )
    managers = {
        (each["manager"], each["operation"]) for each in applied["metadata"]["managedFields"]
    }
    assert ("kubectl", "Apply") in managers
    assert ("kubectl-client-side-apply", "Update") not in managers


def assert_no_copies_of_keys(operator: Operator) -> None:
    for namespace in ("buildkit", "openfaas-fn"):
        for secret in operator.cluster.items(f"/api/v1/namespaces/{namespace}/secrets"):
            assert LAST_APPLIED not in secret["metadata"].get("annotations", {})


def test_removing_it_leaves_volumes_and_secrets_until_it_is_said_twice(
    operator: Operator,
) -> None:
    operator.follow("Install")
    operator.settled(3)
    [block] = readme.sections()["Removing it"]
    before = volumes(operator)
    trial = "kubectl delete namespace buildkit --dry-run=server"

    def deletes_namespace() -> bool:
        return operator.cluster.shell(trial, operator.clone).returncode == 0

    # An API server goes by a policy some moments after it has it.
    wait_until(lambda: not deletes_namespace())
    once = operator.cluster.shell(block, operator.clone)
    assert once.returncode == 1
    assert "This would delete every volume of the daemons" in once.stderr
    wait_until(lambda: not operator.pods())
    assert volumes(operator) == before
    assert operator.cluster.items("/api/v1/namespaces/buildkit/secrets")
    # All came back that was taken away, with its volumes.
    operator.follow("Install")
    operator.settled(3)
    assert volumes(operator) == before
    wait_until(lambda: not deletes_namespace())
    assert operator.cluster.shell(block, operator.clone).returncode == 1
    wait_until(deletes_namespace)
    # The rest was gone already, so this ends with an error as well.
    assert "not found" in operator.cluster.shell(block, operator.clone).stderr
    wait_until(lambda: operator.cluster.ask("GET", NAMESPACE).get("reason") == "NotFound")
    assert operator.cluster.items("/api/v1/namespaces/openfaas-fn/secrets")
