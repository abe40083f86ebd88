"""Pure. Changes the content of a tenants file, and has the function's own parser judge the outcome."""

import base64
import json
import secrets
from dataclasses import dataclass
from typing import Any

from nacl.public import PrivateKey

from function.tenants.parsing import Tenants, parsed
from function.tenants.reading import Malformed

_KEY_BYTES = 32

Content = dict[str, Any]


class CannotChange(Exception):
    """Its message is a sentence for the person at the keyboard."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """A key that was made; for a tenant that is new also a key to seal build secrets for, its public half."""

    content: Content
    secret: str
    public_key: str = ""


def judged(written: bytes) -> Tenants:
    """Return what the builder will make of *written*."""
    try:
        return parsed(written)
    except Malformed as exc:
        raise CannotChange(f"The tenants file cannot be used: {exc}.") from exc


def loaded(written: bytes | None) -> Content:
    """Return the content of a file that this program may write."""
    if written is None:
        return {"tenants": {}}
    judged(written)
    try:
        content: Content = json.loads(written)
    except ValueError as exc:
        raise CannotChange(
            "The tenants file is YAML, of which this program would lose the comments: change it by hand, and "
            'try it with "scripts/tenant check".'
        ) from exc
    return content


def dumped(content: Content) -> bytes:
    """Return what is to be written, once the function's own parser takes it."""
    written = json.dumps(content, indent=2, ensure_ascii=False).encode() + b"\n"
    judged(written)
    return written


def added(content: Content, name: str, key: str, members: Content) -> Added:
    """Add a tenant that has *members*, or another *key* to one that is there."""
    tenants = content.get("tenants", {})
    there = tenants.get(name)
    secret = base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode()
    keys = [*(there or {}).get("keys", ()), {"name": key, "secret": secret}]
    tenant = {**(there or {}), "keys": keys, **members}
    public_key = ""
    if there is None:
        pair = PrivateKey.generate()
        tenant["sealingKey"] = base64.b64encode(bytes(pair)).decode()
        public_key = base64.b64encode(bytes(pair.public_key)).decode()
    return Added(
        content={**content, "tenants": {**tenants, name: tenant}},
        secret=secret,
        public_key=public_key,
    )


def removed(content: Content, name: str, key: str) -> Content:
    """Remove a tenant, or only one *key* of it."""
    tenants = dict(content.get("tenants", {}))
    if name not in tenants:
        raise CannotChange(f'There is no tenant "{name}".')
    tenant = tenants.pop(name)
    if key:
        keys = [each for each in tenant["keys"] if each["name"] != key]
        if len(keys) == len(tenant["keys"]):
            raise CannotChange(f'The tenant "{name}" has no key "{key}".')
        if not keys:
            raise CannotChange(
                f'"{key}" is the only key of "{name}": add another one first, or remove the tenant.'
            )
        tenants[name] = {**tenant, "keys": keys}
    return {**content, "tenants": tenants}
