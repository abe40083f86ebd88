"""Pure. FileSync: shows the daemon a context, as the request's patterns ask for it.

moby/buildkit v0.32.2 session/filesync/filesync.go names the headers.
"""

from __future__ import annotations

import urllib.parse
from typing import TYPE_CHECKING

from ...fsutil import PatternError, Patterns, Sender, SenderError, UnfitEntry, walk
from ...fsutil.tree import encoded
from ..rpc.grpc_status import Code, RpcError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ...fsutil.tree import Tree
    from .grpc_server import Buffer, Call, Headers

DIFF_COPY = "/moby.filesync.v1.FileSync/DiffCopy"


def diff_copy(
    locals_: Mapping[str, Tree], refused: Callable[[str], object] | None = None
) -> Callable[[Headers], Call]:
    """Return the DiffCopy method over trees by directory name; *refused* hears why it refused to send one."""

    def start(headers: Headers) -> Call:
        name = headers.get("dir-name", ("",))[0]
        if name not in locals_:
            raise RpcError(Code.NOT_FOUND, f"no access allowed to dir {name!r}")
        try:
            return _DiffCopy(locals_[name], patterns_of(headers))
        except UnfitEntry as exc:
            if refused:
                refused(str(exc))
            raise _unknown(exc) from exc

    return start


def patterns_of(headers: Headers) -> Patterns:
    return Patterns(
        include=_values(headers, "include-patterns"),
        exclude=_values(headers, "exclude-patterns"),
        follow_paths=_values(headers, "followpaths"),
    )


def _values(headers: Headers, name: str) -> tuple[str, ...]:
    values = tuple(headers.get(name, ()))
    if headers.get(f"{name}-encoded", ("",))[0] == "1":
        # Bytes that are no UTF-8 must not come to match a name that has U+FFFD.
        return tuple(urllib.parse.unquote_plus(value, errors="surrogateescape") for value in values)
    return values


class _DiffCopy:
    """fsutil's Sender as a gRPC call."""

    def __init__(self, tree: Tree, patterns: Patterns) -> None:
        try:
            self._sender = Sender(walk(tree, patterns))
        except PatternError as exc:
            raise _unknown(exc) from exc

    def receive(self, message: bytes) -> None:
        try:
            self._sender.receive(message)
        except SenderError as exc:
            raise RpcError(Code.UNKNOWN, str(exc)) from exc

    def send(self, limit: int) -> Sequence[Buffer]:
        return self._sender.send(limit)

    @property
    def done(self) -> bool:
        return self._sender.done


def _unknown(error: PatternError | UnfitEntry) -> RpcError:
    # Of names that are no UTF-8, for the status must be.
    return RpcError(Code.UNKNOWN, encoded(str(error)).decode(errors="backslashreplace"))
