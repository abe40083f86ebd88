"""A registry that turns calls down as registries do whose programs are not to be had here."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .serving import Handler, serving

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """An answer as the distribution specification has errors; with *text* that in its place."""

    status: int
    code: str = "UNKNOWN"
    message: str = ""
    text: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def body(self) -> bytes:
        if self.text is not None:
            return self.text.encode()
        return json.dumps({"errors": [{"code": self.code, "message": self.message}]}).encode()


@contextmanager
def refusing(refusal: Refusal, *, until_manifest: bool = False) -> Iterator[str]:
    """Its host:port. With *until_manifest* it has nothing, and takes layers; the manifest is refused."""

    class Answering(Handler):
        def answer(self) -> None:
            taken = self.rfile.read(int(self.headers["Content-Length"] or 0))
            manifest = "/manifests/" in self.path
            if not until_manifest or (manifest and self.command == "PUT"):
                self.reply(refusal.status, refusal.body, refusal.headers)
            elif self.path == "/v2/":
                self.reply(200)
            elif self.command in ("GET", "HEAD"):
                self.reply(404)
            elif self.command == "POST":
                self.reply(202, headers={"Location": f"{self.path}session"})
            else:
                assert self.command == "PUT"
                assert taken
                self.reply(201)

        def reply(
            self, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None
        ) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = answer  # noqa: N815 - the base class looks for them

    with serving(Answering) as address:
        yield address
