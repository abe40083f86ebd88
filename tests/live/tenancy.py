"""Two tenants on one builder, acme and beta, and an operator; each signs with a key of its own."""

from __future__ import annotations

import json
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from .caller import SECRET, Answer, Request, post, signature
from .sealing import KeyPair, SealedRequest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from stack.machine import Machine

    from .conftest import StartFunction

ACME, BETA = b"the-key-of-acme-in-all-tests-here", b"the-key-of-beta-in-all-tests-here"
SEALING = KeyPair.generate()


def tenants_file(
    acme: Mapping[str, Any] | None = None, beta: Mapping[str, Any] | None = None, **members: Any
) -> dict[str, Any]:
    """Return a file in which each may push under all names, and acme has a sealing key of its own."""
    return {
        "tenants": {
            "acme": _tenant(ACME, {"sealingKey": SEALING.private, **(acme or {})}),
            "beta": _tenant(BETA, beta or {}),
        },
        **members,
    }


def _tenant(key: bytes, members: Mapping[str, Any]) -> dict[str, Any]:
    return {"keys": [{"name": "1", "secret": key.decode()}], "images": ["**"], **members}


@contextmanager
def serving_tenants(
    start_function: StartFunction,
    machine: Machine,
    daemon: str,
    document: Mapping[str, Any],
    **settings: str,
) -> Iterator[str]:
    """Yield the URL of a function on *daemon* that has *document* as its tenants file."""
    folder = machine.account.own(machine.account.scratch(machine.paths, "secrets"), 0o755)
    (folder / "payload-secret").write_bytes(SECRET)
    (folder / "build-secrets-key").write_text(SEALING.private)
    (folder / "builder-tenants").write_text(json.dumps(document))
    try:
        with start_function(daemon, secret_mount_path=str(folder), **settings) as function:
            yield function.url
    finally:
        shutil.rmtree(folder)


def build_as(key: bytes, url: str, request: Request, *, accept: str = "*/*") -> Answer:
    body = request.tar()
    return post(url, body, {"X-Build-Signature": signature(body, key), "Accept": accept})


def of(dockerfile: str, files: Mapping[str, str] | None = None, **config: Any) -> Request:
    """Return a build that is not pushed."""
    return Request({"Dockerfile": dockerfile, **(files or {})}, config={"skipPush": True, **config})


def sealed(request: Request, secrets: Mapping[str, str]) -> SealedRequest:
    """Seal *secrets* for acme."""
    return SealedRequest(
        request.files, request.image, request.config, secrets=secrets, public=SEALING.public
    )
