"""Pure. What a build's session exposes to the daemon: its context, credentials and secrets, and no more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import auth, filesync, health, secrets

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ...fsutil.tree import Tree
    from ...registry.docker_config import Credentials
    from .grpc_server import Call, Headers


def session_services(
    locals_: Mapping[str, Tree],
    credentials: Callable[[str], Credentials | Callable[[], Credentials]],
    build_secrets: Mapping[str, bytes] | None = None,
) -> Mapping[str, Callable[[Headers], Call]]:
    """The session's methods by full name.

    *locals_* are the trees to be fetched by the daemon's names for them, "context" and "dockerfile";
    *credentials* is asked with a registry's host, and may return what asks somebody else.
    *build_secrets* are values by id, as steps name them.
    """
    services = {
        filesync.DIFF_COPY: filesync.diff_copy(locals_),
        auth.CREDENTIALS: auth.credentials(credentials),
        health.CHECK: health.check,
    }
    if build_secrets:
        services[secrets.GET_SECRET] = secrets.get_secret(build_secrets)
    return services
