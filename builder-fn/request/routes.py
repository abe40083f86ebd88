"""Pure. Routes: a request's operation, by its path or, on "/", by `op` in its query.

faas-cli invoke knows a function's root only, and posts unless told otherwise; so there every operation
has a second address, and takes POST as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import MethodNotAllowed, NotFound
from ..quoting import quoted

if TYPE_CHECKING:
    from collections.abc import Mapping

BUILD = "build"
COMMANDS = ("status", "logs", "result", "cancel", "list")
_READ = ("GET", "HEAD")
# With a signed document, in the body or in a header.
_ASK = ("POST", "GET")


@dataclass(frozen=True, slots=True)
class _Route:
    operation: str
    paths: tuple[str, ...]
    methods: tuple[str, ...] = _READ


_ROUTES = (
    _Route(BUILD, ("/build", "/"), ("POST",)),
    _Route("publickey", ("/publickey", "/public-key"), ("GET", "HEAD", "POST")),
    _Route("healthz", ("/healthz",)),
    _Route("ready", ("/ready",)),
    _Route("metrics", ("/metrics",)),
    *(_Route(name, (f"/{name}",), _ASK) for name in COMMANDS),
)
_BY_PATH = {path: route for route in _ROUTES for path in route.paths}
_BY_OPERATION = {route.operation: route for route in _ROUTES}


def operation(method: str, path: str, query: Mapping[str, str]) -> str:
    """Return the operation that a request asks for. Raises NotFound and MethodNotAllowed."""
    path = path.rstrip("/") or "/"
    named = query.get("op", "") if path == "/" else ""
    route = _BY_OPERATION.get(named) if named else _BY_PATH.get(path)
    if route is None:
        if named:
            known = ", ".join(_BY_OPERATION)
            raise NotFound(f"There is no operation {quoted(named)}; there are {known}.")
        raise NotFound(f"There is nothing at {quoted(path)}; POST a signed tar to /build.")
    methods = route.methods if not named or "POST" in route.methods else (*route.methods, "POST")
    if method not in methods:
        raise MethodNotAllowed(f"{path} takes {methods[0]}, not {method}.", methods)
    return route.operation
