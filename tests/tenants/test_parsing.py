from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from function.tenants.parsing import parsed
from function.tenants.reading import Malformed
from function.tenants.tenant import Limits

SECRET = "0123456789abcdef0123456789abcdef"
OTHER = "fedcba9876543210fedcba9876543210"
THIRD = "00112233445566778899aabbccddeeff"


def tenants(**members: Any) -> bytes:
    """Return a file of one tenant, acme, which has *members* beside its key."""
    acme = {"keys": [{"name": "1", "secret": SECRET}], **members}
    return json.dumps({"tenants": {"acme": acme}}).encode()


def test_reads_all_that_a_tenant_has() -> None:
    found = parsed(
        tenants(
            images=["registry.example/acme/**"],
            registryAuth={"auths": {"registry.example": {"auth": "YTpi"}}},
            limits={
                "builds": 4,
                "waiting": 0,
                "buildsPerHour": 200,
                "bodyBytes": 1,
                "contextBytes": 2,
                "contextEntries": 3,
                "buildTimeout": "10m",
            },
            share=2,
            callbackHosts=["hooks.acme.example"],
            buildkitUrl="tcp://a:1234, tcp://b:1234",
            cache="shared",
        )
    )

    acme = found.tenants["acme"]
    assert [(key.name, key.secret) for key in acme.keys] == [("acme/1", SECRET.encode())]
    assert acme.registry_auth.credentials("registry.example").secret == "b"
    assert acme.limits == Limits(
        builds=4,
        waiting=0,
        builds_per_hour=200,
        body_bytes=1,
        context_bytes=2,
        context_entries=3,
        build_timeout=600.0,
    )
    assert (acme.share, acme.cache) == (2, "shared")
    assert acme.callback_hosts == ("hooks.acme.example",)
    assert acme.buildkit_urls == ("tcp://a:1234", "tcp://b:1234")


def test_a_tenant_without_more_than_a_key_has_nothing() -> None:
    acme = parsed(tenants()).tenants["acme"]

    assert (acme.images, acme.callback_hosts, acme.sealing_keys) == ((), (), ())
    assert acme.cache == "isolated"
    assert acme.limits == Limits()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "it is empty"),
        (b"[]", "must be an object, not an array"),
        (b"{", "not valid JSON"),
        (b'{"tenant": {}}', 'unknown member "tenant"; did you mean "tenants"'),
        (b'{"tenants": []}', "tenants must be an object, not an array"),
        (b'{"tenants": {"acme": {}}}', 'tenants.acme has no "keys"'),
        (b'{"tenants": {"acme": {"keys": []}}}', "tenants.acme.keys is empty"),
        (b'{"tenants": {"Acme": {"keys": []}}}', "tenants.Acme has a name"),
        (b'{"tenants": {"a/b": {"keys": []}}}', "tenants.a/b has a name"),
        (tenants(limits={"bilds": 4}), 'acme.limits has the unknown member "bilds"'),
        (tenants(limits={"builds": 0}), "acme.limits.builds must be a whole number from 1 on"),
        (tenants(limits={"builds": True}), "builds must be a whole number from 1 on"),
        (tenants(limits={"builds": "4"}), "builds must be a whole number from 1 on"),
        (tenants(limits={"buildTimeout": "soon"}), "must be a duration"),
        (tenants(images=["r.example/a:1"]), r"acme.images\[0\] must name repositories"),
        (tenants(images="r.example/a"), "acme.images must be an array"),
        (tenants(cache="isolate"), 'acme.cache must be "isolated" or "shared"'),
        (tenants(callbackHosts=["https://a"]), r"acme.callbackHosts\[0\] must be a host"),
        (tenants(sealingKey="short"), "acme.sealingKey must be the base64 of 32 bytes"),
        (
            tenants(keys=[{"name": "1", "secret": "short"}]),
            "secret has 5 characters; it must be 32",
        ),
        (tenants(keys=[{"name": "1"}]), r'acme.keys\[0\] has no "secret"'),
        (tenants(keys=[{"name": "a/b", "secret": SECRET}]), r"keys\[0\].name must be 1 to 63"),
        (tenants(keys=[{"name": "1", "secret": f" {SECRET}"}]), "without spaces"),
        (tenants(keys=[{"name": "1", "secret": f"{SECRET}ü"}]), "of ASCII"),
        (tenants(sealingKey=[]), "acme.sealingKey must be the base64 of 32 bytes"),
        (tenants(buildkitUrl="a:1234"), "acme.buildkitUrl must be"),
        (tenants(buildkitUrl="tcp://a:65536"), "acme.buildkitUrl must be"),
        (tenants(buildkitUrl="tcp://a:0"), "acme.buildkitUrl must be"),
        (tenants(buildkitUrl="tcp://a#b:1234"), "acme.buildkitUrl must be"),
        (tenants(registryAuth={"auths": {"r": {"auth": "?"}}}), "registryAuth cannot be used"),
        (tenants(limits={"buildTimeout": "0s"}), "must be a duration"),
        (tenants(share=0), "acme.share must be a whole number from 1 on"),
    ],
)
def test_refuses_a_file_with_its_fault(content: bytes, said: str) -> None:
    with pytest.raises(Malformed, match=said) as caught:
        parsed(content)

    assert SECRET not in str(caught.value)
    assert "acme" not in caught.value.public.casefold()


def file(*owners: tuple[str, str, str]) -> bytes:
    found: dict[str, dict[str, Any]] = {"tenants": {}, "operators": {}}
    for kind, name, secret in owners:
        found[kind][name] = {"keys": [{"name": "1", "secret": secret}]}
    return json.dumps(found).encode()


@pytest.mark.parametrize(
    "content",
    [
        file(("tenants", "acme", SECRET), ("tenants", "beta", SECRET)),
        file(("tenants", "acme", SECRET), ("operators", "ops", SECRET)),
    ],
)
def test_refuses_one_secret_for_two(content: bytes) -> None:
    with pytest.raises(Malformed, match="one secret for the keys acme/1 and") as caught:
        parsed(content)

    assert caught.value.public == "the file has one secret for two keys; give each one its own"


def test_refuses_an_operator_that_is_called_as_a_tenant_is() -> None:
    with pytest.raises(Malformed, match="has the name of a tenant"):
        parsed(file(("tenants", "acme", SECRET), ("operators", "acme", OTHER)))


def test_tells_tenants_and_operators_by_their_keys() -> None:
    found = parsed(
        file(("tenants", "acme", SECRET), ("tenants", "beta", OTHER), ("operators", "ops", THIRD))
    )

    asking = [found.principal(key) for key in found.keys]
    assert [(each.name, each.account, each.is_operator) for each in asking] == [
        ("acme", "acme", False),
        ("beta", "beta", False),
        ("", "ops/1", True),
    ]


YAML = f"""
# Customers.
cache: shared
tenants:
  acme:
    keys:
    - {{name: "2026", secret: {SECRET}}}
    images: [registry.example/acme/**]
    limits:
      builds: 4
      buildTimeout: 10m
"""


def test_reads_yaml() -> None:
    acme = parsed(YAML.encode()).tenants["acme"]

    assert acme.keys[0].secret == SECRET.encode()
    assert (acme.limits.builds, acme.limits.build_timeout) == (4, 600.0)
    assert acme.cache == "shared"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (YAML.replace("builds: 4", "builds: '4'"), "builds must be a whole number"),
        (YAML.replace('"2026"', "2026"), r"name must be a string \(in YAML, put it in quotes\)"),
        (YAML.replace(SECRET, "1" * 40), "secret must be a string"),
        (YAML.replace("cache: shared", "cache: &x shared"), "line 3 has an anchor"),
        (YAML.replace("  acme:", "  acme: {}\n  acme:"), "line 6 has the key .* again"),
        ("- tenants", "must be an object, not an array"),
        ("tenants:", "tenants must be an object, not null"),
        ("", "it is empty"),
    ],
)
def test_refuses_yaml_with_its_fault(changed: str, said: str) -> None:
    with pytest.raises(Malformed, match=said) as caught:
        parsed(changed.encode())

    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "other", [bytes(32), b"\x07" + bytes(30) + b"\x80"], ids=["equal", "as good"]
)
def test_refuses_one_sealing_key_for_two(other: bytes) -> None:
    content = json.loads(file(("tenants", "acme", SECRET), ("tenants", "beta", OTHER)))
    for tenant, key in zip(content["tenants"].values(), (bytes(32), other), strict=True):
        tenant["sealingKey"] = base64.b64encode(key).decode()

    with pytest.raises(Malformed, match="one sealingKey for acme and beta") as caught:
        parsed(json.dumps(content).encode())

    assert caught.value.public.startswith("the file has one sealingKey for two tenants")


def test_a_tenant_may_have_one_sealing_key_twice() -> None:
    key = "A" * 43 + "="

    assert len(parsed(tenants(sealingKey=[key, key])).tenants["acme"].sealing_keys) == 2


NAMED = "customer-of-the-provider"
KEYS = [{"name": "1", "secret": "k" * 32}]


def _with(**members: Any) -> bytes:
    return json.dumps({"tenants": {NAMED: {"keys": KEYS, **members}}}).encode()


@pytest.mark.parametrize(
    "content",
    [
        json.dumps({NAMED: {"keys": KEYS}}).encode(),
        f'{{"tenants": {{"{NAMED}": {{}}, "{NAMED}": {{}}}}}}'.encode(),
        f"tenants:\n  {NAMED}: {{}}\n  {NAMED}: {{}}\n".encode(),
        _with(images=[f"registry.example/{NAMED}/**x"]),
        _with(images=[f"registry.example/{NAMED}:1"]),
        _with(images=[f"registry.example/{NAMED}/UPPER"]),
        _with(callbackHosts=[f"https://{NAMED}.example"]),
        _with(registryAuth={"auths": {f"{NAMED}.example": {"auth": "?"}}}),
        _with(registryAuth={"credHelpers": {f"{NAMED}.example": "a/b"}}),
        _with(policy={"images": {"allow": [f"registry.example/{NAMED}:1"]}}),
        _with(policy={"hosts": {"deny": [f"https://{NAMED}.example"]}}),
        _with(policy={"git": {"allow": [f"git.example/{NAMED}/**x"]}}),
        _with(policy={"platforms": [f"{NAMED}!"]}),
        _with(policy={"pins": {f"registry.example/{NAMED}": "sha256:x"}}),
        _with(policy={"pins": {f"registry.example/{NAMED}/?": "sha256:x"}}),
        _with(
            policy={
                "pins": {
                    f"registry.example/{NAMED}{tag}": f"sha256:{'0' * 64}"
                    for tag in ("", ":latest")
                }
            }
        ),
        _with(**{NAMED: 1}),
    ],
)
def test_what_everybody_reads_of_a_malformed_file_names_no_customer(content: bytes) -> None:
    with pytest.raises(Malformed) as caught:
        parsed(content)

    assert NAMED in str(caught.value)
    assert NAMED not in caught.value.public


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"images": ["registry.example/acme**"]}, "has two stars beside other characters"),
        ({"images": ["registry.example/a:1"]}, "must name repositories, without a tag"),
        ({"policy": {"git": {"allow": ["git.example/a**"]}}}, "has two stars beside"),
        ({"policy": {"hosts": {"allow": ["a b"]}}}, "must be a host"),
    ],
)
def test_what_everybody_reads_of_a_malformed_pattern_says_what_is_wrong(
    members: dict[str, Any], said: str
) -> None:
    with pytest.raises(Malformed) as caught:
        parsed(_with(**members))

    assert said in caught.value.public
