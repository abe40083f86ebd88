"""I/O: runs a Docker credential helper, a program that knows the credentials of registries.

The protocol is docker/docker-credential-helpers' (client/client.go and credentials/, as vendored by
moby/buildkit v0.32.2): `docker-credential-NAME get`, a registry on stdin, JSON on stdout. The program
belongs to the operator, and runs in the function's own environment, where it finds a cloud's identity.
What it prints on stderr goes nowhere, since nobody knows what it holds.
"""

from __future__ import annotations

import json
import os
import selectors
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from typing import Any

from ..buildkit import ANONYMOUS, Credentials
from ..errors import NotReady
from .docker_config import is_sendable

_PREFIX = "docker-credential-"
_NONE_FOUND = b"credentials not found in native keychain"
_TOKEN = "<token>"  # noqa: S105 - the username that says that the secret is an identity token

# A helper asks its cloud for a token, which takes up to a second or two; the build's session waits for it.
_PATIENCE_SECONDS = 10.0
_MAX_OUTPUT_BYTES = 64 << 10  # tokens have a few kilobytes


def get(name: str, server: str, *, patience: float = _PATIENCE_SECONDS) -> Credentials:
    """Ask the helper *name* about *server*; return ANONYMOUS if it knows nothing. Raises NotReady if it
    cannot say.

    *patience* is in seconds.
    """
    helper = f"{_PREFIX}{name}"
    program = shutil.which(helper)
    if program is None:
        raise NotReady(
            f"The credential helper {helper}, which config.json names for {server}, is not among the "
            "builder's programs. Add it to the builder's image, or take it out of config.json."
        )
    try:
        status, output = _run(program, server.encode(), time.monotonic() + patience)
        if status and output.strip() == _NONE_FOUND:
            return ANONYMOUS
        return _credentials(status, output)
    except _HelperError as exc:
        raise NotReady(
            f"The credential helper {helper} was asked for {server} and {exc}. Run it where the "
            "builder runs, with the argument get and that name on its input, to see why."
        ) from exc


class _HelperError(Exception):
    """The failure of a helper, as the end of a sentence."""


def _run(program: str, request: bytes, deadline: float) -> tuple[int, bytes]:
    """Exit status and output; nothing is left running. Raises _HelperError."""
    try:
        process = subprocess.Popen(  # noqa: S603 - the operator's own choice of program
            [program, "get"],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # so that whatever it starts can be ended with it
        )
    except OSError as exc:
        raise _HelperError("could not be started") from exc
    with process:
        try:
            output = _exchange(process, request, deadline)
            return process.wait(_left(deadline)), output
        except subprocess.TimeoutExpired as exc:
            raise _HelperError("did not answer in time") from exc
        finally:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)


def _exchange(process: subprocess.Popen[bytes], request: bytes, deadline: float) -> bytes:
    """Return all that the program prints. Raises TimeoutExpired, _HelperError."""
    assert process.stdin  # noqa: S101 - both are pipes
    assert process.stdout  # noqa: S101
    with suppress(BrokenPipeError):  # a helper for one registry alone need not read which
        process.stdin.write(request)
    process.stdin.close()
    output = bytearray()
    with selectors.DefaultSelector() as readable:
        readable.register(process.stdout, selectors.EVENT_READ)
        while len(output) <= _MAX_OUTPUT_BYTES:
            if not readable.select(_left(deadline)):
                raise subprocess.TimeoutExpired(process.args, 0)
            chunk = os.read(process.stdout.fileno(), _MAX_OUTPUT_BYTES)
            if not chunk:
                return bytes(output)
            output += chunk
    raise _HelperError("printed more than credentials have")


def _left(deadline: float) -> float:
    return max(0.0, deadline - time.monotonic())


def _credentials(status: int, output: bytes) -> Credentials:
    if status:
        raise _HelperError(f"failed with exit status {status}")
    try:
        answer: Any = json.loads(output)
        username, secret = answer["Username"], answer["Secret"]
    except (ValueError, RecursionError, TypeError, LookupError) as exc:
        raise _HelperError("printed no credentials") from exc
    if not (isinstance(username, str) and isinstance(secret, str)):
        raise _HelperError("printed no credentials")
    if not (is_sendable(username) and is_sendable(secret)):
        raise _HelperError("printed credentials with half a surrogate pair in them")
    return Credentials(username="" if username == _TOKEN else username, secret=secret)
