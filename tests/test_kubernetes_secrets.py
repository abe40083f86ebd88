"""scripts/kubernetes/secrets as its users meet it, and what everybody makes of its Secrets."""

from __future__ import annotations

import os
import pty
import ssl
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from function import secret_files
from function.config import Settings
from function.registry.docker_config import RegistryAuth

from . import stack_file
from .kubernetes import manifests, schemas, secrets_script

if TYPE_CHECKING:
    from pathlib import Path

    from .kubernetes.manifests import Manifest

SERVICE = "buildkitd.buildkit.svc.cluster.local"
POOL = "buildkitd-pool.buildkit.svc.cluster.local"
LOOKUP = "buildkitd-lookup.buildkit.svc.cluster.local"


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    secrets_script.printed(folder)
    return folder


@pytest.fixture(scope="module")
def secrets(keys: Path) -> list[Manifest]:
    return secrets_script.printed(keys)


def of_namespace(secrets: list[Manifest], namespace: str) -> list[Manifest]:
    return [each for each in secrets if each["metadata"]["namespace"] == namespace]


def test_the_function_reads_its_keys_from_what_openfaas_mounts(
    secrets: list[Manifest], tmp_path: Path
) -> None:
    mounted = secrets_script.mounted(of_namespace(secrets, "openfaas-fn"))
    for name, content in mounted.items():
        (tmp_path / name).write_bytes(content)
    settings = Settings(secret_mount_path=tmp_path)
    assert [key.name for key in secret_files.payload_keys(settings)] == ["payload-secret"]
    assert [key.name for key in secret_files.sealing_keys(settings)] == ["build-secrets-key"]
    assert isinstance(secret_files.registry_auth(settings), RegistryAuth)


def test_stack_yml_names_every_secret_of_the_function(secrets: list[Manifest]) -> None:
    names = {each["metadata"]["name"] for each in of_namespace(secrets, "openfaas-fn")}
    # scripts/tenant writes the file of tenants, and prints the command for its Secret.
    assert {*names, "builder-tenants"} == set(stack_file.function(all_options=True)["secrets"])


def test_no_file_of_one_secret_hides_another_ones(secrets: list[Manifest]) -> None:
    of_function = of_namespace(secrets, "openfaas-fn")
    files = [name for each in of_function for name in each["data"]]
    assert len(files) == len(set(files))


def test_they_are_secrets_that_openfaas_mounts(secrets: list[Manifest]) -> None:
    for secret in secrets:
        schemas.check(secret, schemas.VERSIONS[-1])
        # Those of Docker's types become imagePullSecrets (openfaas/faas-netes, pkg/k8s/secrets.go).
        assert secret["type"] == "Opaque"


@pytest.mark.programs
def test_the_daemon_mounts_the_secret_that_is_its_own(secrets: list[Manifest]) -> None:
    pod = manifests.only(manifests.base(), "StatefulSet")["spec"]["template"]["spec"]
    [named] = [each["secret"]["secretName"] for each in pod["volumes"] if "secret" in each]
    [secret] = of_namespace(secrets, "buildkit")
    assert secret["metadata"]["name"] == named
    [folder] = [
        each["mountPath"] for each in pod["containers"][0]["volumeMounts"] if each["name"] == "tls"
    ]
    [container] = pod["containers"]
    for name in secret["data"]:
        assert any(argument.endswith(f"={folder}/{name}") for argument in container["args"])


@pytest.mark.programs
def test_cert_manager_makes_secrets_of_the_same_names_for_the_same_hosts(
    secrets: list[Manifest], keys: Path, tmp_path: Path
) -> None:
    complete = manifests.with_components(tmp_path, "cert-manager")
    for name in ("buildkitd", "buildkit-client"):
        certificate = manifests.only(complete, "Certificate", name)
        namespace, named = certificate["metadata"]["namespace"], certificate["spec"]["secretName"]
        secret = manifests.only(secrets, "Secret", named)
        assert secret["metadata"]["namespace"] == namespace
        assert set(secret["data"]) == {"ca.crt", "tls.crt", "tls.key"}
    names = manifests.only(complete, "Certificate", "buildkitd")["spec"]["dnsNames"]
    services = [each["metadata"] for each in complete if each["kind"] == "Service"]
    assert {f"{each['name']}.{each['namespace']}.svc.cluster.local" for each in services} == {
        SERVICE,
        POOL,
        LOOKUP,
    }
    assert sorted(names) == sorted(secrets_script.names_in(keys / "daemon.crt"))
    assert {SERVICE, POOL, LOOKUP} < set(names)


def test_with_cert_manager_it_makes_no_certificates(tmp_path: Path) -> None:
    printed = secrets_script.printed(tmp_path, "--without-certificates")
    assert {each["metadata"]["name"] for each in printed} == {
        "payload-secret",
        "build-secrets-key",
        "config.json",
    }
    assert not list(tmp_path.glob("*.crt"))


@pytest.mark.parametrize(
    "name", ["buildkitd", "buildkitd.buildkit.svc", SERVICE, POOL, LOOKUP, f"buildkitd-1.{POOL}"]
)
def test_daemon_and_client_know_each_other_by_every_name(keys: Path, name: str) -> None:
    shake_hands(server(keys, "daemon"), client(keys, "client"), name)


def test_the_daemon_takes_no_client_without_a_certificate(keys: Path) -> None:
    with pytest.raises(ssl.SSLError, match="PEER_DID_NOT_RETURN_A_CERTIFICATE"):
        shake_hands(server(keys, "daemon"), client(keys), SERVICE)


def test_the_clients_certificate_cannot_pose_as_the_daemon(keys: Path) -> None:
    with pytest.raises(ssl.SSLError, match=r"(?i)unsuitable certificate purpose"):
        shake_hands(server(keys, "client"), client(keys, "client"), "builder-fn")


def test_the_daemons_certificate_cannot_pose_as_a_client(keys: Path) -> None:
    with pytest.raises(ssl.SSLError, match=r"(?i)unsuitable certificate purpose"):
        shake_hands(server(keys, "daemon"), client(keys, "daemon"), SERVICE)


def test_the_authoritys_key_is_in_no_secret(keys: Path, secrets: list[Manifest]) -> None:
    key = (keys / "authority.key").read_bytes()
    assert all(key not in content for content in secrets_script.mounted(secrets).values())


def test_running_it_again_prints_the_same_and_makes_nothing(tmp_path: Path) -> None:
    first, second = secrets_script.run(tmp_path), secrets_script.run(tmp_path)
    assert (second.returncode, second.stdout, second.stderr) == (0, first.stdout, "")
    assert "Made" in first.stderr


def test_all_of_it_is_for_its_owner_alone(keys: Path) -> None:
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in keys.iterdir()}
    assert set(modes.values()) == {0o600}


def test_a_key_beside_the_first_is_a_secret_too_and_a_public_half_is_none(tmp_path: Path) -> None:
    secrets_script.printed(tmp_path)
    (tmp_path / "payload-secret-2").write_text("another one")
    (tmp_path / "build-secrets-key-2026-11").write_text("another one")
    (tmp_path / "build-secrets-key-2026-11.pub").write_text("its public half")
    names = {each["metadata"]["name"] for each in secrets_script.printed(tmp_path)}
    assert {"payload-secret-2", "build-secrets-key-2026-11"} < names
    assert not any(name.endswith(".pub") for name in names)


def test_a_removed_certificate_is_made_again_by_the_same_authority(tmp_path: Path) -> None:
    secrets_script.printed(tmp_path)
    before = {name: (tmp_path / name).read_bytes() for name in ("authority.crt", "daemon.crt")}
    (tmp_path / "daemon.crt").unlink()
    (tmp_path / "daemon.key").unlink()
    secrets_script.printed(tmp_path)
    assert (tmp_path / "authority.crt").read_bytes() == before["authority.crt"]
    assert (tmp_path / "daemon.crt").read_bytes() != before["daemon.crt"]
    shake_hands(server(tmp_path, "daemon"), client(tmp_path, "client"), SERVICE)


@pytest.mark.parametrize("missing", ["daemon.key", "client.crt", "authority.key"])
def test_half_a_pair_is_refused_and_kept(tmp_path: Path, missing: str) -> None:
    secrets_script.printed(tmp_path)
    (tmp_path / missing).unlink()
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    ended = secrets_script.run(tmp_path)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "has no counterpart" in ended.stderr
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("content", ["{", '["auths"]'])
def test_registry_credentials_that_docker_could_not_read_are_refused(
    tmp_path: Path, content: str
) -> None:
    (tmp_path / "config.json").write_text(content)
    ended = secrets_script.run(tmp_path)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert str(tmp_path / "config.json") in ended.stderr


def test_registry_credentials_are_taken_as_they_are(tmp_path: Path) -> None:
    content = b'{"auths": {"registry.example.com": {"auth": "dTpw"}}}'
    (tmp_path / "config.json").write_bytes(content)
    mounted = secrets_script.mounted(secrets_script.printed(tmp_path))
    assert mounted["config.json"] == content


def test_a_certificate_that_ends_soon_is_named(tmp_path: Path) -> None:
    secrets_script.printed(tmp_path)
    sign_for_days(tmp_path, "client", "20")
    ended = secrets_script.run(tmp_path)
    assert ended.returncode == 0
    assert f"warning: {tmp_path}/client.crt ends within 30 days" in ended.stderr
    assert "daemon.crt" not in ended.stderr


def test_without_openssl_it_says_so_and_leaves_no_half_behind(tmp_path: Path) -> None:
    ended = secrets_script.run(tmp_path, path="")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "There is no openssl" in ended.stderr
    assert not list(tmp_path.iterdir())


def test_keys_are_not_shown_on_a_terminal(tmp_path: Path) -> None:
    terminal, its_end = pty.openpty()
    try:
        ended = subprocess.run(
            [sys.executable, "-B", manifests.SECRETS, tmp_path],
            stdout=its_end,
            stderr=subprocess.PIPE,
            text=True,
            check=True,
        )
        os.set_blocking(terminal, False)
        with pytest.raises(BlockingIOError):
            os.read(terminal, 1)
    finally:
        os.close(its_end)
        os.close(terminal)
    assert "| kubectl apply --server-side -f -" in ended.stderr


def server(keys: Path, name: str) -> ssl.SSLContext:
    """Ask for certificates as buildkitd does: from everybody, by this authority (cmd/buildkitd/main.go)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(keys / f"{name}.crt", keys / f"{name}.key")
    context.load_verify_locations(keys / "authority.crt")
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def client(keys: Path, name: str | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=keys / "authority.crt")
    if name:
        context.load_cert_chain(keys / f"{name}.crt", keys / f"{name}.key")
    return context


def shake_hands(of_server: ssl.SSLContext, of_client: ssl.SSLContext, name: str) -> None:
    """Shake hands in memory. Raises what either of the two thinks of the other."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        of_client.wrap_bio(to_client, to_server, server_hostname=name),
        of_server.wrap_bio(to_server, to_client, server_side=True),
    ]
    for _ in range(4):  # more than TLS takes
        for end in list(ends):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            ends.remove(end)
    assert not ends


def sign_for_days(keys: Path, name: str, days: str) -> None:
    """Replace a certificate by one for the same key."""
    request = keys / "request"
    subprocess.run(
        ["openssl", "req", "-new", "-key", keys / f"{name}.key", "-subj", "/CN=x", "-out", request],
        check=True,
    )
    issuer = ("-CA", keys / "authority.crt", "-CAkey", keys / "authority.key")
    out = ("-in", request, "-out", keys / f"{name}.crt", "-days", days, "-set_serial", "1")
    subprocess.run(("openssl", "x509", "-req", *issuer, *out), check=True, capture_output=True)
    request.unlink()
