"""Pure. Judges the tenants file: all that it says is used, or the file is refused with a sentence."""

from __future__ import annotations

import codecs
import json
import re
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any

from ..build_secrets import plain_yaml
from ..build_secrets.envelope import SealingKey
from ..errors import ConfigError, NotReady
from ..quoting import quoted
from ..registry.docker_config import RegistryAuth
from ..request.options import Document
from ..request.signature import Key
from . import policy
from .patterns import ImagePattern
from .policy import Policy
from .principal import Principal
from .reading import (
    Malformed,
    Where,
    array,
    duration,
    members,
    named,
    one_of,
    text,
    texts,
    unnamed,
    whole,
)
from .tenant import CACHES, ISOLATED, Limits, Tenant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

# 32 hexadecimal digits have 128 bits. Space around a secret some clients would sign with, and others not.
LEAST_SECRET = 32
_SECRET = re.compile(rf"[!-~]{{{LEAST_SECRET},}}")
_SEALING_KEY = re.compile(r"[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=")  # the base64 of 32 bytes
_HOST_NAME = r"[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]"
# From 1 to 65535, as the schema has to say it.
_PORT = "[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]"
_URL = re.compile(rf"tcp://(?:{_HOST_NAME}):(?:{_PORT})|unix:///[^\s,]+")

# A tenant's name stands in metrics, logs and records; it is shaped as a label of DNS (RFC 1123).
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_KEY_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_HOST = re.compile(
    r"\*|\.?[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*|[0-9a-f:.]+"
)

_LIMITS: Mapping[str, tuple[str, Callable[[object, Where], Any]]] = {
    "builds": ("builds", whole),
    "waiting": ("waiting", lambda value, where: whole(value, where, least=0)),
    "buildsPerHour": ("builds_per_hour", whole),
    "bodyBytes": ("body_bytes", whole),
    "contextBytes": ("context_bytes", whole),
    "contextEntries": ("context_entries", whole),
    "buildTimeout": ("build_timeout", duration),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenants:
    """Holds all that the file says."""

    tenants: Mapping[str, Tenant] = field(default_factory=dict)
    operator_keys: tuple[Key, ...] = ()
    policy: Policy = field(default_factory=Policy)
    _secrets: frozenset[bytes] = field(init=False, repr=False, default=frozenset())

    def __post_init__(self) -> None:
        secrets = frozenset(key.secret for key in self.keys)
        object.__setattr__(self, "_secrets", secrets)  # frozen

    @property
    def keys(self) -> Iterator[Key]:
        """Yield all keys of the file, those of operators last."""
        for tenant in self.tenants.values():
            yield from tenant.keys
        yield from self.operator_keys

    def has_secret(self, key: Key) -> bool:
        """Tell whether *key*, of another file, has the secret of a key in this one, as clients read it."""
        return not self._secrets.isdisjoint(key.variants)

    @property
    def limit_steps(self) -> bool:
        """Tell whether any policy limits the memory or the processors of steps."""
        policies = (self.policy, *(tenant.policy for tenant in self.tenants.values()))
        return any(each.memory is not None or each.cpus is not None for each in policies)

    def principal(self, key: Key) -> Principal:
        """Return the holder of *key*: the tenant whose key it is, else an operator.

        Two tenants share a cache where both say so: one that does not is kept apart from all others.
        """
        owner, is_ours, _ = key.name.partition("/")
        tenant = self.tenants.get(owner) if is_ours else None
        if tenant is None:
            return Principal(key=key, policies=(self.policy,))
        others = [each for each in self.tenants.values() if each is not tenant]
        isolated = [each for each in others if each.cache == ISOLATED]
        apart = others if tenant.cache == ISOLATED else isolated
        return Principal(
            key=key,
            tenant=tenant,
            policies=(self.policy, tenant.policy),
            others_are_isolated=bool(isolated),
            others=tuple(chain.from_iterable(each.images for each in apart)),
        )


def parsed(content: bytes) -> Tenants:
    """Read the file. Raises Malformed."""
    return _tenants(_document(content))


def _document(content: bytes) -> dict[str, Any]:
    """Read JSON, or YAML if it does not begin as a JSON object does. Neither quotes a value."""
    try:
        if content.removeprefix(codecs.BOM_UTF8).lstrip()[:1] == b"{":
            return Document("the file", content).values()
        return named(plain_yaml.parse(content, _scalar), Where())
    except (ConfigError, plain_yaml.NotPlainYAML) as exc:
        why = f"cannot be read: {exc}".rstrip(".")
        raise Malformed(Where(), why, public=unnamed(why)) from exc


def _scalar(text: str) -> object:
    """Read a scalar that stands in YAML without quotes: numbers and booleans as in JSON, all else is text."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return value if isinstance(value, bool | int | float) else text


def _tenants(document: dict[str, Any]) -> Tenants:
    top = Where()
    found = members(document, top, ("cache", "policy", "operators", "tenants"))
    cache = _optional(found, top, "cache", _cache, ISOLATED)
    tenants_where, operators_where = top.member("tenants"), top.member("operators")
    tenants: dict[str, Tenant] = {}
    for position, (name, value) in enumerate(
        named(found.get("tenants", {}), tenants_where).items()
    ):
        where = tenants_where.tenant(name, position)
        _require_name(name, where)
        tenants[name] = _tenant(name, value, where, cache)
    operator_keys: list[Key] = []
    for position, (name, value) in enumerate(
        named(found.get("operators", {}), operators_where).items()
    ):
        where = operators_where.tenant(name, position)
        _require_name(name, where)
        if name in tenants:
            raise Malformed(where, "has the name of a tenant; choose another one")
        operator = members(value, where, ("keys",))
        operator_keys += _keys(name, operator, where)
    judged = Tenants(
        tenants=tenants,
        operator_keys=tuple(operator_keys),
        policy=_optional(found, top, "policy", policy.parsed, Policy()),
    )
    _require_different(judged.keys)
    _require_different_sealing_keys(tenants.values())
    return judged


def _tenant(name: str, value: object, where: Where, cache: str) -> Tenant:
    found = members(
        value,
        where,
        (
            "keys",
            "images",
            "registryAuth",
            "sealingKey",
            "limits",
            "share",
            "callbackHosts",
            "buildkitUrl",
            "cache",
            "policy",
        ),
    )
    return Tenant(
        name=name,
        keys=_keys(name, found, where),
        images=_optional(found, where, "images", _images, ()),
        registry_auth=_optional(found, where, "registryAuth", _registry_auth, RegistryAuth()),
        sealing_keys=_optional(found, where, "sealingKey", _sealing_keys, ()),
        limits=_optional(found, where, "limits", _limits, Limits()),
        share=_optional(found, where, "share", whole, 1),
        callback_hosts=_optional(found, where, "callbackHosts", _hosts, ()),
        buildkit_urls=_optional(found, where, "buildkitUrl", _urls, ()),
        cache=_optional(found, where, "cache", _cache, cache),
        policy=_optional(found, where, "policy", policy.parsed, Policy()),
    )


def _optional(
    found: Mapping[str, Any],
    where: Where,
    name: str,
    read: Callable[[object, Where], Any],
    otherwise: Any,
) -> Any:
    return read(found[name], where.member(name)) if name in found else otherwise


def _require_name(name: str, where: Where) -> None:
    if not _NAME.fullmatch(name):
        raise Malformed(
            where,
            'has a name that is not made of 1 to 63 of "a" to "z", digits and "-" between them',
        )


def _keys(owner: str, found: Mapping[str, Any], where: Where) -> tuple[Key, ...]:
    """Read the keys of *owner*, one at least; each is known as the owner's name, "/" and its own."""
    if "keys" not in found:
        raise Malformed(where, 'has no "keys"; without one nobody can sign for it')
    where = where.member("keys")
    keys: list[Key] = []
    for position, value in enumerate(array(found["keys"], where)):
        at = where.item(position)
        key = members(value, at, ("name", "secret"))
        for needed in ("name", "secret"):
            if needed not in key:
                raise Malformed(at, f'has no "{needed}"')
        name = text(key["name"], at.member("name"))
        if not _KEY_NAME.fullmatch(name):
            raise Malformed(
                at.member("name"), 'must be 1 to 63 letters, digits, and "." "_" "-" between them'
            )
        if any(other.name == f"{owner}/{name}" for other in keys):
            raise Malformed(at.member("name"), "is the name of another key of the same owner")
        secret = text(key["secret"], at.member("secret"))
        if not _SECRET.fullmatch(secret):
            raise Malformed(
                at.member("secret"),
                f"has {len(secret)} characters; it must be {LEAST_SECRET} random ones or more, of ASCII and "
                "without spaces, as faas-cli secret generate writes them",
            )
        keys.append(Key(f"{owner}/{name}", secret.encode()))
    if not keys:
        raise Malformed(where, "is empty; without a key nobody can sign for it")
    return tuple(keys)


def _require_different(keys: Iterator[Key]) -> None:
    """Refuse one secret for two keys: nobody could tell who has signed."""
    owners: dict[bytes, str] = {}
    for key in keys:
        if other := owners.get(key.secret):
            raise Malformed(
                Where(),
                f"has one secret for the keys {other} and {key.name}; give each one its own",
                public="has one secret for two keys; give each one its own",
            )
        owners[key.secret] = key.name


def _require_different_sealing_keys(tenants: Iterable[Tenant]) -> None:
    """Refuse one sealing key for two tenants: what is sealed for one would open for the other."""
    owners: dict[str, str] = {}
    for tenant in tenants:
        for key in tenant.sealing_keys:
            # Private keys that differ in some bits may be one all the same (RFC 7748, section 5).
            other = owners.setdefault(key.public_key, tenant.name)
            if other != tenant.name:
                raise Malformed(
                    Where(),
                    f"has one sealingKey for {other} and {tenant.name}; give each one its own",
                    public="has one sealingKey for two tenants; give each one its own",
                )


def _images(value: object, where: Where) -> tuple[ImagePattern, ...]:
    patterns = []
    for position, pattern in enumerate(texts(value, where)):
        try:
            patterns.append(ImagePattern.parse(pattern))
        except ValueError as exc:
            raise Malformed(where.item(position), str(exc), public=unnamed(str(exc))) from exc
    return tuple(patterns)


def _registry_auth(value: object, where: Where) -> RegistryAuth:
    try:
        auth = RegistryAuth.from_json(json.dumps(named(value, where)))
    except NotReady as exc:
        raise _unusable(where, exc) from exc
    for fault in auth.faults:
        raise _unusable(where, fault)
    return auth


def _unusable(where: Where, sentence: object) -> Malformed:
    """Refuse credentials by what is wrong, of a *sentence* that says of which file it is as well."""
    because = str(sentence).rpartition("cannot be used: ")[2].rstrip(".")
    why = f"cannot be used: {because}"
    return Malformed(where, why, public=unnamed(why))


def _sealing_keys(value: object, where: Where) -> tuple[SealingKey, ...]:
    written = texts(value, where) if isinstance(value, list) else (text(value, where),)
    if not written or not all(map(_SEALING_KEY.fullmatch, written)):
        raise Malformed(
            where, "must be the base64 of 32 bytes, as scripts/generate-key and faas-cli write it"
        )
    return tuple(SealingKey.from_file(str(where), key.encode()) for key in written)


def _limits(value: object, where: Where) -> Limits:
    found = members(value, where, _LIMITS)
    return Limits(
        **{
            _LIMITS[name][0]: _LIMITS[name][1](limit, where.member(name))
            for name, limit in found.items()
        }
    )


def _hosts(value: object, where: Where) -> tuple[str, ...]:
    hosts = texts(value, where)
    for position, host in enumerate(hosts):
        if not _HOST.fullmatch(host):
            wanted = 'must be a host such as "hooks.example.com", or ".example.com" for all below it, or "*"'
            raise Malformed(where.item(position), f"{wanted}, not {quoted(host)}", public=wanted)
    return hosts


def _urls(value: object, where: Where) -> tuple[str, ...]:
    urls = tuple(part.strip(" ") for part in text(value, where).split(","))
    if not all(map(_URL.fullmatch, urls)):
        raise Malformed(
            where,
            'must be "tcp://host:port" or "unix:///path", or several with commas between them',
        )
    return urls


def _cache(value: object, where: Where) -> str:
    return one_of(value, where, CACHES)
