"""The JSON Schema and the parser agree, for whatever somebody may write into the file."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, ValidationError, validators

from function.tenants import parsing
from function.tenants.parsing import parsed
from function.tenants.reading import Malformed

if TYPE_CHECKING:
    from collections.abc import Iterator

SCHEMA = json.loads(Path(parsing.__file__).with_name("tenants.schema.json").read_text("utf-8"))


def pattern(_validator: Any, expression: str, instance: Any, _schema: Any) -> Iterator[Exception]:
    """Match as JSON Schema does, by ECMAScript's syntax: there "$" is never before a line's end."""
    ends = expression.replace("$", r"\Z")
    if isinstance(instance, str) and not re.search(ends, instance):
        yield ValidationError(f"{instance!r} does not match {expression!r}")


VALIDATOR = validators.extend(Draft202012Validator, {"pattern": pattern})(SCHEMA)  # type: ignore[no-untyped-call]

SECRET = "0123456789abcdef0123456789abcdef"
SEALING = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

# What JSON Schema has no words for.
BEYOND_SCHEMA = (
    "one secret for",
    "one sealingKey for",
    "is the name of another key",
    "has the name of a tenant",
    "registryAuth cannot be used",
)

JUNK = st.sampled_from([None, True, 0, -1, 1.5, "", " ", "x", [], {}, [""], [1], {"x": 1}])
SECRETS = st.sampled_from([SECRET, f"{SECRET}0", f"{SECRET}1", SECRET[1:], f" {SECRET}"])
KEY = st.fixed_dictionaries(
    {"name": st.sampled_from(["1", "2", "a.b_c-D", "-", "a/b", "a" * 63, "a" * 64])},
    optional={"secret": SECRETS, "more": JUNK},
) | st.fixed_dictionaries({"name": st.sampled_from(["1", "2"]), "secret": SECRETS})
KEYS = st.lists(KEY, max_size=2)
NUMBERS = st.sampled_from([0, 1, 2.0, 1.5, -1, 10**12, "1"])
DURATIONS = st.sampled_from(
    ["10m", "1h30m", "90", "0", "0s", "0.5s", "500ms", "m", "1 m", "1d", "9" * 21, "1.m", "٣s"]
)
LIMITS = st.dictionaries(
    st.sampled_from(
        [
            "builds",
            "waiting",
            "buildsPerHour",
            "bodyBytes",
            "contextBytes",
            "contextEntries",
            "bilds",
        ]
    ),
    NUMBERS,
    max_size=3,
) | st.fixed_dictionaries({"buildTimeout": DURATIONS})
URLS = st.sampled_from(
    [
        "tcp://a:1234",
        "tcp://a:1234, unix:///run/b.sock",
        "tcp://a",
        "a:1234",
        ",",
        "tcp://a:1,,tcp://b:1",
        "unix://b",
        " tcp://a:1 ",
        "tcp://[::1]:1234",
        "tcp://a:0",
        "tcp://a:65535",
        "tcp://a:65536",
        "tcp://a?b:1",
        "tcp://me@a:1",
    ]
)
HOSTS = st.lists(
    st.sampled_from(
        ["a.example", ".example", "*", "*.example", "::1", "127.0.0.1", "A", "a b", "https://a", ""]
    ),
    max_size=2,
)
PATTERNS = st.lists(st.sampled_from(["github.com", "a.example"]), max_size=2)
SOURCES = JUNK | st.dictionaries(st.sampled_from(["allow", "deny", "alow"]), PATTERNS, max_size=2)
DIGEST = f"sha256:{'a' * 64}"
POLICY = st.dictionaries(st.sampled_from(["images", "frontends", "hosts", "git"]), SOURCES) | (
    st.fixed_dictionaries(
        {},
        optional={
            "network": st.sampled_from(["default", "none", "host", None]),
            "platforms": st.lists(st.sampled_from(["linux/amd64", "linux", "a/b/c", "a/b/c/d"])),
            "digests": st.sampled_from(["any", "required", "pinned", "always"]),
            "pins": st.sampled_from([{}, {"a:1": DIGEST}, {"a": DIGEST[1:]}, {"a": f"{DIGEST}\n"}]),
            "memory": st.sampled_from(["16MiB", "2 GiB", "2G", "02GiB", 2, "1GiB "]),
            "cpus": st.sampled_from([0.01, 2, 1024, 1025, 0, "2", True]),
            "contact": st.sampled_from(["me", "", 1]),
            "image": JUNK,
        },
    )
)
MEMBERS = {
    "images": st.lists(st.sampled_from(["r.example/a/**", "a/*", "**"]), max_size=2),
    "registryAuth": st.sampled_from([{}, {"auths": {}}, {"auths": {"r": {"auth": "YTpi"}}}]),
    "sealingKey": st.sampled_from(
        [SEALING, [SEALING], [SEALING, SEALING], SEALING[:-1], f"{SEALING}\n", "B" * 43 + "=", []]
    ),
    "limits": LIMITS,
    "share": NUMBERS,
    "callbackHosts": HOSTS,
    "buildkitUrl": URLS,
    "cache": st.sampled_from(["isolated", "shared", "none"]),
    "policy": POLICY,
    "image": JUNK,
}
TENANT = st.fixed_dictionaries(
    {"keys": KEYS}, optional={name: JUNK | value for name, value in MEMBERS.items()}
) | st.fixed_dictionaries({"keys": KEYS}, optional=dict(MEMBERS))
NAMES = st.sampled_from(["acme", "beta", "a-1", "-a", "A", "a_b", "a" * 63, "a" * 64, ""])
FILE = st.fixed_dictionaries(
    {},
    optional={
        "tenants": JUNK | st.dictionaries(NAMES, TENANT, max_size=2),
        "operators": JUNK
        | st.dictionaries(NAMES, st.fixed_dictionaries({"keys": KEYS}), max_size=2),
        "cache": st.sampled_from(["isolated", "shared", "", None]),
        "tenant": JUNK,
    },
)


def refusal(document: Any) -> str:
    try:
        parsed(json.dumps(document).encode())
    except Malformed as exc:
        return str(exc)
    return ""


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(SCHEMA)


@given(FILE)
def test_the_parser_refuses_what_the_schema_does(document: dict[str, Any]) -> None:
    refused = refusal(document)

    if VALIDATOR.is_valid(document):
        assert not refused or any(each in refused for each in BEYOND_SCHEMA)
    else:
        assert refused


@given(TENANT)
def test_each_member_of_a_tenant_is_judged_alike(tenant: dict[str, Any]) -> None:
    if len({json.dumps(key) for key in tenant["keys"]}) != 1:
        tenant["keys"] = [{"name": "1", "secret": SECRET}]
    document = {"tenants": {"acme": tenant}}
    refused = refusal(document)

    if any(each in refused for each in BEYOND_SCHEMA):
        return
    assert VALIDATOR.is_valid(document) == (not refused), refused


@pytest.mark.parametrize(
    "example", [member for member in MEMBERS if member not in ("image", "policy")]
)
def test_the_schema_describes_each_member(example: str) -> None:
    described = SCHEMA["$defs"]["tenant"]["properties"][example]

    assert "description" in described or "$ref" in described or example == "limits"
