"""Pure. Lists what a build's session exposes to the daemon: context, credentials, secrets, and no more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import auth, filesync, health, secrets
from .grpc_server import Unary

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ...fsutil import Tree
    from .auth import Credentials
    from .grpc_server import Call, Headers


def session_services(
    locals_: Mapping[str, Tree],
    credentials: Callable[[str], Credentials],
    build_secrets: Mapping[str, bytes] | None = None,
    *,
    refused: Callable[[str], object] | None = None,
) -> Mapping[str, Callable[[Headers], Call]]:
    """Return the session's methods by full name.

    *locals_* are the trees to be fetched by the daemon's names for them, "context" and "dockerfile";
    *credentials* is asked with a registry's host, in a thread of its own, and may take seconds.
    *build_secrets* are values by id, as steps name them. *refused* is told why a tree cannot be sent: the
    daemon's own error may be no more than that its call was cancelled.
    """
    services: dict[str, Callable[[Headers], Call]] = {
        filesync.DIFF_COPY: filesync.diff_copy(locals_, refused),
        auth.CREDENTIALS: Unary(auth.credentials(credentials), slow=True),
        health.CHECK: Unary(health.check),
    }
    if build_secrets:
        services[secrets.GET_SECRET] = Unary(secrets.get_secret(build_secrets))
    return services
