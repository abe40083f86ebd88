"""Pure. Explains what a tenant may push, and why, or why not."""

from collections.abc import Iterator
from dataclasses import dataclass

from function.errors import ConfigError
from function.registry.reference import Reference
from function.tenants import Principal, Tenant
from function.tenants.patterns import ImagePattern, place
from function.tenants.restrictions import Restrictions


@dataclass(frozen=True, slots=True)
class Verdict:
    allowed: bool
    reasons: tuple[str, ...]


def verdict(tenant: Tenant, image: str) -> Verdict:
    """Judge *image* as the builder will when *tenant* asks to push it."""
    try:
        reference = Reference.parse(image)
    except ConfigError as exc:
        return Verdict(allowed=False, reasons=(str(exc),))
    registry, parts = place(reference)
    means = f"{image} means {registry}/{'/'.join(parts)}"
    covering = [pattern for pattern in tenant.images if pattern.covers(reference)]
    if covering:
        reasons = (means, f'"{covering[0].text}" covers it', _credentials(tenant, registry))
        return Verdict(allowed=True, reasons=reasons)
    if not tenant.images:
        return Verdict(
            allowed=False, reasons=(means, "the tenant has no images, so it pushes none")
        )
    return Verdict(
        allowed=False,
        reasons=(means, *(_difference(each, registry, parts) for each in tenant.images)),
    )


def base(principal: Principal, image: str) -> Verdict:
    """Judge *image* as the daemon will where a Dockerfile of the tenant's names it, as in FROM."""
    try:
        reference = Reference.parse(image)
    except ConfigError as exc:
        return Verdict(allowed=False, reasons=(str(exc),))
    if refusal := Restrictions.of(principal).refusal_of_image(reference):
        return Verdict(allowed=False, reasons=(refusal,))
    return Verdict(allowed=True, reasons=("no rule of its policy is against it",))


def summary(tenant: Tenant) -> Iterator[str]:
    """Say what the tenant has, without any secret."""
    yield f"keys     {', '.join(key.name.partition('/')[2] for key in tenant.keys)}"
    yield f"images   {', '.join(pattern.text for pattern in tenant.images) or 'none: it pushes nothing'}"
    limits = {
        "builds at once": tenant.limits.builds,
        "in line": tenant.limits.waiting,
        "an hour": tenant.limits.builds_per_hour,
        "bytes a body": tenant.limits.body_bytes,
        "bytes a context": tenant.limits.context_bytes,
        "files a context": tenant.limits.context_entries,
        "seconds a build": tenant.limits.build_timeout,
    }
    said = [f"{limit:g} {name}" for name, limit in limits.items() if limit is not None]
    yield f"limits   {', '.join(said) or 'those of the builder'}"
    if tenant.callback_hosts:
        yield f"calls    {', '.join(tenant.callback_hosts)}"
    if tenant.buildkit_urls:
        yield f"daemons  {', '.join(tenant.buildkit_urls)}"
    yield f"cache    {tenant.cache}"


def _difference(pattern: ImagePattern, registry: str, parts: tuple[str, ...]) -> str:
    if pattern.registry not in ("", registry):
        return f'"{pattern.text}" is for {pattern.registry}, and not for {registry}'
    return (
        f'"{pattern.text}" covers {"/".join(pattern.parts)} there, and not {"/".join(parts)} '
        "(* is any characters of one part, ** one part or more)"
    )


def _credentials(tenant: Tenant, registry: str) -> str:
    auth = tenant.registry_auth
    if auth.helper(registry):
        return f'its registryAuth has the helper "{auth.helper(registry)}" for {registry}'
    if auth.credentials(registry).secret:
        return f"its registryAuth has credentials for {registry}"
    return f"its registryAuth has nothing for {registry}: it is pushed to without credentials"
