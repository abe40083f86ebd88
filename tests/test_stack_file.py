"""stack.yml: its settings are known, its timeouts agree, and what it asks for is to be had."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from serving.settings import ServerSettings

from function import go_duration, secret_files
from function.buildkit import DaemonTLS
from function.config import Settings

from . import stack_file

if TYPE_CHECKING:
    from collections.abc import Mapping

# of-watchdog 0.11.6, config/config.go; GOGC and GOMEMLIMIT are of Go's runtime.
WATCHDOG = {
    "exec_timeout",
    "read_timeout",
    "write_timeout",
    "healthcheck_interval",
    "prefix_logs",
    "max_inflight",
    "GOGC",
    "GOMEMLIMIT",
}
TLS = {"buildkit_tls_ca", "buildkit_tls_cert", "buildkit_tls_key", "buildkit_server_name"}
# Kubernetes' own, which only OpenFaaS Pro changes.
POD_GRACE = 30.0
# What a replica still does once the builds are over: answer them, and leave.
LAST_ANSWERS = 3.0


@pytest.fixture(params=[False, True], ids=["as it is", "with what stands in comments"])
def function(request: pytest.FixtureRequest) -> dict[str, Any]:
    return stack_file.function(all_options=request.param)


@pytest.fixture
def environment(function: Mapping[str, Any]) -> dict[str, str]:
    found: dict[str, str] = function["environment"]
    return found


def seconds(environment: Mapping[str, str], name: str) -> float:
    return go_duration.seconds(environment[name])


def test_every_setting_is_one_that_somebody_reads(environment: Mapping[str, str]) -> None:
    ours = {field.name for settings in (Settings, ServerSettings) for field in fields(settings)}
    assert set(environment) - ours - TLS - WATCHDOG == set()


def test_every_value_is_one_that_its_reader_takes(environment: Mapping[str, str]) -> None:
    settings = Settings.from_env(environment)
    server = ServerSettings.from_env(environment)
    assert settings.build_timeout == seconds(environment, "build_timeout")
    assert server.shutdown_grace == seconds(environment, "shutdown_grace")
    assert all(isinstance(value, str) for value in environment.values())


def test_the_function_chooses_what_to_refuse_and_not_the_watchdog(
    environment: Mapping[str, str],
) -> None:
    server = ServerSettings.from_env(environment)
    assert int(environment["max_inflight"]) > server.connection_limit
    assert server.max_request_header_size <= 64 << 10
    assert server.suppress_lock


def test_each_part_waits_longer_than_the_one_that_gives_up_before_it(
    environment: Mapping[str, str],
) -> None:
    build, call = seconds(environment, "build_timeout"), seconds(environment, "exec_timeout")
    assert build < call < seconds(environment, "read_timeout")
    assert call < seconds(environment, "write_timeout")


def test_a_replica_is_gone_before_it_is_killed(environment: Mapping[str, str]) -> None:
    refusing = seconds(environment, "healthcheck_interval")
    assert refusing <= seconds(environment, "shutdown_delay")
    assert refusing < seconds(environment, "shutdown_grace")
    assert seconds(environment, "shutdown_grace") + LAST_ANSWERS < POD_GRACE


def test_a_longer_grace_with_openfaas_pro_ends_before_the_pod(
    environment: Mapping[str, str],
) -> None:
    assert "with 40m here it interrupts no build" in stack_file.PATH.read_text()
    advised = go_duration.seconds("40m")
    assert seconds(environment, "build_timeout") < advised + LAST_ANSWERS
    assert advised + LAST_ANSWERS < seconds(environment, "write_timeout")


def test_it_deploys_in_the_community_edition() -> None:
    function = stack_file.function(all_options=False)
    labels = function["labels"]
    # openfaas/faas-netes, pkg/handlers/validate.go: replicas up to five, and these labels not at all.
    assert 1 <= int(labels["com.openfaas.scale.min"]) <= int(labels["com.openfaas.scale.max"]) <= 5
    prefix = "com.openfaas.scale."
    refused = {prefix + name for name in ("zero", "zero-duration", "target", "type")}
    assert refused & set(labels) == set()
    assert not function["annotations"]


def test_openfaas_pro_scales_on_what_a_replica_takes() -> None:
    labels = stack_file.function(all_options=True)["labels"]
    settings = Settings()
    target = int(labels["com.openfaas.scale.target"])
    full = settings.max_builds + settings.max_waiting
    assert labels["com.openfaas.scale.type"] == "capacity"
    assert target == settings.max_builds
    assert target * float(labels["com.openfaas.scale.target-proportion"]) < full
    idle = go_duration.seconds(labels["com.openfaas.scale.zero-duration"])
    assert idle > settings.build_timeout


def test_the_keys_are_those_that_the_builder_looks_for(function: Mapping[str, Any]) -> None:
    assert {
        secret_files.PAYLOAD_SECRET,
        secret_files.BUILD_SECRETS_KEY,
        secret_files.REGISTRY_CONFIG,
    } <= set(function["secrets"])


def test_the_clients_certificate_comes_with_its_secret() -> None:
    plain, complete = (stack_file.function(all_options=each) for each in (False, True))
    assert set(complete["secrets"]) - set(plain["secrets"]) == {
        "buildkit-client",
        "builder-tenants",
    }
    tls = Settings.from_env(complete["environment"]).buildkit_tls
    folder = Settings().secret_mount_path
    assert Settings.from_env(plain["environment"]).buildkit_tls is None
    assert tls == DaemonTLS(
        ca=folder / "ca.crt",
        cert=folder / "tls.crt",
        key=folder / "tls.key",
        server_name="buildkitd.buildkit.svc.cluster.local",
    )


def test_no_setting_is_there_twice() -> None:
    class Strict(yaml.SafeLoader):
        """By itself PyYAML takes the last of two."""

        def construct_mapping(
            self, node: yaml.MappingNode, deep: bool = False
        ) -> dict[object, object]:
            names = [key.value for key, _ in node.value]
            assert len(names) == len(set(names)), names
            return super().construct_mapping(node, deep)

    yaml.load(stack_file.text(all_options=True), Strict)  # noqa: S506 - a SafeLoader
