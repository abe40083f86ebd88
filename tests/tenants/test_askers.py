from __future__ import annotations

import base64
import hashlib
import hmac
import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from function.buildkit import DaemonTLS
from function.config import Settings
from function.errors import BodyTooLarge, NotReady, PushRefused, SignatureError
from function.tenants import NOBODY, Askers, Principal

if TYPE_CHECKING:
    from pathlib import Path

OPERATORS = b"the operator's own secret"
SOCKET = ("unix:///buildkitd.sock",)
ACMES, BETAS, OPS = (f"{owner}-0123456789abcdef0123456789abcdef" for owner in ("a", "b", "o"))
BODY = b"the body"
SEALING = base64.b64encode(bytes(range(32))).decode()
OTHER_SEALING = base64.b64encode(bytes(range(1, 33))).decode()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "payload-secret").write_bytes(OPERATORS)
    return tmp_path


@pytest.fixture
def askers(folder: Path) -> Askers:
    write(folder)
    return Askers(Settings(secret_mount_path=folder, buildkit_url=SOCKET))


def write(folder: Path, **acme: Any) -> None:
    content = {
        "operators": {"ops": {"keys": [{"name": "1", "secret": OPS}]}},
        "tenants": {
            "acme": {"keys": [{"name": "1", "secret": ACMES}], **acme},
            "beta": {"keys": [{"name": "1", "secret": BETAS}]},
        },
    }
    (folder / "builder-tenants").write_text(json.dumps(content))


def signature(secret: str | bytes, body: bytes = BODY) -> list[str]:
    key = secret.encode() if isinstance(secret, str) else secret
    return [f"sha256={hmac.new(key, body, hashlib.sha256).hexdigest()}"]


def asking(askers: Askers, secret: str | bytes, hint: str = "") -> Principal:
    return askers.verified(BODY, signature(secret), hint=hint)


@pytest.mark.parametrize("hint", ["", "acme/1", "ops/1", "payload-secret", "nobody"])
@pytest.mark.parametrize(
    ("secret", "tenant", "key"),
    [
        (ACMES, "acme", "acme/1"),
        (BETAS, "beta", "beta/1"),
        (OPS, "", "ops/1"),
        (OPERATORS, "", "payload-secret"),
    ],
)
def test_tells_who_asks_by_the_signature_alone(
    askers: Askers, secret: str | bytes, tenant: str, key: str, hint: str
) -> None:
    for _ in range(2):
        found = asking(askers, secret, hint)

        assert (found.name, found.key_name, found.is_operator) == (tenant, key, not tenant)


def test_refuses_every_other_key(askers: Askers) -> None:
    with pytest.raises(SignatureError):
        asking(askers, "c-0123456789abcdef0123456789abcdef", "acme/1")


def test_tries_all_keys_however_many_there_are(folder: Path) -> None:
    tenants = {
        f"t{number}": {"keys": [{"name": "1", "secret": f"{number:040}"}]} for number in range(40)
    }
    (folder / "builder-tenants").write_text(json.dumps({"tenants": tenants}))
    askers = Askers(Settings(secret_mount_path=folder))

    for number in (39, 0, 20):
        assert asking(askers, f"{number:040}").name == f"t{number}"
    assert asking(askers, OPERATORS).is_operator


def test_large_bodies_of_strangers_are_tried_one_after_the_other(folder: Path) -> None:
    tenants = {
        f"t{number}": {"keys": [{"name": "1", "secret": f"{number:040}"}]} for number in range(20)
    }
    (folder / "builder-tenants").write_text(json.dumps({"tenants": tenants}))
    askers = Askers(Settings(secret_mount_path=folder))
    large = bytes(1 << 21)
    late = f"{19:040}"

    with ThreadPoolExecutor(1) as threads:
        with askers._searching:  # as by another one
            stranger = threads.submit(askers.verified, large, signature("stranger", large))
            # Those that are small, or known, or say which key is theirs, do not wait for it.
            assert asking(askers, f"{15:040}").name == "t15"
            for secret, hint in ((f"{15:040}", ""), (late, "t19/1")):
                assert askers.verified(large, signature(secret, large), hint=hint)
            assert not stranger.done()
        with pytest.raises(SignatureError):
            stranger.result(timeout=60)


def test_signs_a_body_that_arrives_by_the_key_that_signed_last_or_is_named(
    askers: Askers,
) -> None:
    asking(askers, BETAS)
    for hint, secret in (("", BETAS), ("acme/1", ACMES)):
        arriving = askers.arriving(hint)
        assert arriving
        arriving.update(BODY)

        assert arriving.digest(BODY, secret.encode())


def test_without_tenants_every_key_may_do_everything(folder: Path) -> None:
    found = asking(Askers(Settings(secret_mount_path=folder)), OPERATORS)

    assert (found.is_operator, found.name, found.account) == (True, "", "payload-secret")
    found.require_push(["docker.io/library/anything:1"])


def test_where_nobody_signs_nobody_asks(folder: Path) -> None:
    askers = Askers(Settings(secret_mount_path=folder, disable_hmac=True))

    assert askers.verified(BODY, []) is NOBODY
    assert askers.arriving() is None


def test_tenants_without_signatures_let_nobody_in(folder: Path) -> None:
    write(folder)
    askers = Askers(Settings(secret_mount_path=folder, disable_hmac=True))

    with pytest.raises(NotReady, match="disable_hmac is true and there is a tenants file"):
        askers.verified(BODY, signature(ACMES))
    with pytest.raises(NotReady):
        askers.warnings()


def test_tenants_need_no_payload_secret(askers: Askers, folder: Path) -> None:
    (folder / "payload-secret").unlink()

    assert asking(askers, ACMES).name == "acme"


def test_a_file_without_any_key_lets_nobody_in(folder: Path) -> None:
    (folder / "payload-secret").unlink()
    (folder / "builder-tenants").write_text("{}")

    with pytest.raises(NotReady, match="has no key"):
        asking(Askers(Settings(secret_mount_path=folder)), OPERATORS)


@pytest.mark.parametrize("ending", ["", "\n"])
def test_a_payload_secret_that_a_tenant_has_makes_no_operator(
    askers: Askers, folder: Path, ending: str
) -> None:
    (folder / "payload-secret").write_text(ACMES + ending)

    assert asking(askers, ACMES, "payload-secret").name == "acme"
    with pytest.raises(SignatureError):
        asking(askers, f"{ACMES}\n\n")
    [warning] = askers.warnings()
    assert 'The payload secret "payload-secret" is a key of the tenants file as well' in warning


def test_warns_of_a_sealing_key_that_a_tenant_has_from_the_operator(
    askers: Askers, folder: Path
) -> None:
    write(folder, sealingKey=[OTHER_SEALING, SEALING])
    assert askers.warnings() == []

    (folder / "build-secrets-key-2026").write_text(SEALING)
    [warning] = askers.warnings()
    assert (
        """sealingKey of the tenant acme is the operator's "build-secrets-key-2026":""" in warning
    )
    assert SEALING not in warning

    # The lowest bits of a key are not looked at (RFC 7748, section 5).
    (folder / "build-secrets-key-2026").write_text(
        base64.b64encode(b"\x07" + bytes(range(1, 32))).decode()
    )
    assert askers.warnings() == [warning]
    (folder / "build-secrets-key-2026").write_text("no key at all")
    assert askers.warnings() == []


def test_a_tenant_that_is_taken_out_can_sign_no_more(askers: Askers, folder: Path) -> None:
    assert asking(askers, BETAS)
    (folder / "builder-tenants").write_text(
        json.dumps({"tenants": {"acme": {"keys": [{"name": "2", "secret": ACMES}]}}})
    )

    assert asking(askers, ACMES).key_name == "acme/2"
    with pytest.raises(SignatureError):
        asking(askers, BETAS)


def test_a_tenant_has_its_own_credentials_for_registries_or_none(
    askers: Askers, folder: Path
) -> None:
    (folder / "config.json").write_text('{"auths": {"r.example": {"auth": "b3A6b3A="}}}')
    write(folder, registryAuth={"auths": {"r.example": {"auth": "YWNtZTphY21l"}}})

    found = {
        secret: askers.registry_auth(asking(askers, secret)).credentials("r.example").secret
        for secret in (ACMES, BETAS, OPS)
    }

    assert found == {ACMES: "acme", BETAS: "", OPS: "op"}


def test_a_tenants_credentials_change_while_it_builds(askers: Askers, folder: Path) -> None:
    acme = asking(askers, ACMES)
    write(folder, registryAuth={"auths": {"r.example": {"auth": "YWNtZTpuZXc="}}})

    assert askers.registry_auth(acme).credentials("r.example").secret == "new"


def test_each_tenant_has_a_sealing_key_of_its_own(askers: Askers, folder: Path) -> None:
    (folder / "build-secrets-key").write_text(SEALING)
    write(folder, sealingKey=OTHER_SEALING)

    acme, beta, operator = (
        [key.public_key for key in askers.sealing_keys(asking(askers, secret))]
        for secret in (ACMES, BETAS, OPERATORS)
    )

    assert len({*acme, *beta, *operator}) == 3
    assert askers.sealing_keys(asking(askers, ACMES))[0].private_key == bytes(range(1, 33))
    # The same in every replica, and after a restart.
    again = Askers(Settings(secret_mount_path=folder))
    assert [key.public_key for key in again.sealing_keys(asking(again, BETAS))] == beta


def test_a_tenants_name_is_not_for_others(askers: Askers, folder: Path) -> None:
    write(folder, images=["registry.example/acme/**"])
    acme, beta = asking(askers, ACMES), asking(askers, BETAS)

    acme.require_push(["registry.example/acme/fn:1", "registry.example/acme/fn:2"])
    for principal, names in (
        (acme, ["registry.example/acme/fn:1", "registry.example/beta/fn:1"]),
        (beta, ["registry.example/acme/fn:1"]),
        (beta, ["docker.io/library/fn:1"]),
    ):
        with pytest.raises(PushRefused, match=f'may not push "{names[-1]}"'):
            principal.require_push(names)


def test_a_tenants_body_has_its_own_limit(askers: Askers, folder: Path) -> None:
    write(folder, limits={"bodyBytes": 10})
    acme = asking(askers, ACMES)

    acme.require_body(10)
    with pytest.raises(BodyTooLarge, match="has 11 bytes, and 10 are the most for your builds"):
        acme.require_body(11)
    asking(askers, BETAS).require_body(1 << 40)


def test_a_tenant_calls_its_own_hosts_or_none(askers: Askers, folder: Path) -> None:
    write(folder, callbackHosts=["hooks.acme.example"])

    assert asking(askers, ACMES).callback_hosts(("*",)) == ("hooks.acme.example",)
    assert asking(askers, BETAS).callback_hosts(("*",)) == ()
    assert asking(askers, OPS).callback_hosts(("*",)) == ("*",)


@pytest.mark.parametrize(
    ("wanted", "shown", "by_proxy", "may"),
    [
        (b"", "", False, True),
        (b"", "", True, False),
        (b"", "token", True, False),
        (b"token\n", "token", False, True),
        (b"token\n", "token", True, True),
        (b"token\n", "", False, False),
        (b"token\n", "toke", False, False),
    ],
)
def test_metrics_that_name_tenants_are_the_operators(
    askers: Askers, folder: Path, wanted: bytes, shown: str, *, by_proxy: bool, may: bool
) -> None:
    if wanted:
        (folder / "metrics-token").write_bytes(wanted)

    assert askers.may_scrape(shown, came_by_proxy=by_proxy) is may


def test_metrics_without_tenants_are_everybodys(folder: Path) -> None:
    (folder / "metrics-token").write_bytes(b"token")

    assert Askers(Settings(secret_mount_path=folder)).may_scrape("", came_by_proxy=True)


@pytest.mark.parametrize("setting", ["buildkit_url", "buildkit_lookup_url"])
def test_warns_of_a_daemon_that_every_step_may_give_orders_to(folder: Path, setting: str) -> None:
    write(folder)
    tls = DaemonTLS(ca=folder / "ca", cert=folder / "cert", key=folder / "key")
    there: dict[str, Any] = {"buildkit_url": SOCKET, setting: ("tcp://buildkitd:1234",)}

    [warning] = Askers(Settings(secret_mount_path=folder, **there)).warnings()
    with_certificates = Askers(Settings(secret_mount_path=folder, buildkit_tls=tls, **there))
    with_sockets = Askers(Settings(secret_mount_path=folder, buildkit_url=SOCKET))

    assert "can read and end every tenant's builds" in warning
    assert with_certificates.warnings() == with_sockets.warnings() == []
    (folder / "builder-tenants").unlink()
    assert Askers(Settings(secret_mount_path=folder, **there)).warnings() == []
