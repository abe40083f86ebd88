"""I/O: decides what a build's session offers the daemon, and under which key the daemon keeps it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..buildkit import session_services
from ..context.ignore_file import local_trees, with_ignore_file
from ..context.shared_key import once

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ..buildkit import Credentials
    from ..buildkit.session.grpc_server import Call, Headers
    from ..context.shared_key import SharedKeys
    from ..request.bundle import Bundle


@dataclass(frozen=True, slots=True)
class Offer:
    """The session's methods by full name, its shared key, and why it could not send what was asked for."""

    services: Mapping[str, Callable[[Headers], Call]] = field(repr=False)
    shared_key: str
    refusals: Sequence[str]  # grows while the daemon asks


def offer(
    bundle: Bundle,
    shared_keys: SharedKeys,
    credentials: Callable[[str], Credentials],
    build_secrets: Mapping[str, bytes],
    *,
    owner: str = "",
) -> Offer:
    """Offer the daemon the context of *bundle*, *credentials* by registry, and secrets by id.

    What it keeps of a context is found by builds of the same *owner* alone.
    """
    config, context = bundle.config, bundle.context
    offered = with_ignore_file(context, config.dockerfile)
    # A caller that sets an epoch wants the same image, to the bit.
    exact = bool(config.source_date_epoch)
    shared_key = once() if exact else shared_keys.choose(f"{owner} {config.image.name}", offered)
    trees = local_trees(offered, context, config.dockerfile)
    refusals: list[str] = []
    services = session_services(trees, credentials, build_secrets, refused=refusals.append)
    return Offer(services, shared_key, refusals)
