"""A caller of the builder, as small as one can be: makes the tar, signs it, reads the answer."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import io
import json
import tarfile
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SECRET = b"a payload secret of the test suite"
NDJSON = "application/x-ndjson"
PATIENCE = 90.0  # seconds on one socket operation; no answer takes so long


@dataclass
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.body.splitlines()]

    @property
    def document(self) -> dict[str, Any]:
        """The one document, or the last of a stream."""
        return self.lines[-1]

    @property
    def log(self) -> list[str]:
        return [entry for line in self.lines for entry in line["log"]]


@dataclass
class Request:
    files: Mapping[str, str | bytes]
    image: str = "unused:1"
    config: Mapping[str, Any] = field(default_factory=dict)
    mtime: int = 1_600_000_000

    def detached(self) -> Request:
        return replace(self, config={**self.config, "detach": True})

    def tar(self) -> bytes:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            config = json.dumps({"image": self.image, **self.config})
            self._add(tar, "com.openfaas.docker.config", config)
            for path, content in self.files.items():
                self._add(tar, f"context/{path}", content)
        return buffer.getvalue()

    def _add(self, tar: tarfile.TarFile, name: str, content: str | bytes) -> None:
        data = content.encode() if isinstance(content, str) else content
        member = tarfile.TarInfo(name)
        member.size, member.mtime = len(data), self.mtime
        tar.addfile(member, io.BytesIO(data))


def signature(body: bytes, secret: bytes = SECRET) -> str:
    return "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest()


def connect(url: str) -> http.client.HTTPConnection:
    parts = urlsplit(url)
    assert parts.hostname
    return http.client.HTTPConnection(parts.hostname, parts.port, timeout=PATIENCE)


@contextmanager
def stream(
    url: str, request: Request, *, accept: str = NDJSON, path: str = "/build", **more: str
) -> Iterator[http.client.HTTPResponse]:
    """Yield an answer that still comes, and hang up at the end. *more* is headers, "_" for "-"."""
    headers = {"Accept": accept, **{name.replace("_", "-"): value for name, value in more.items()}}
    with (
        closing(connect(url)) as connection,
        _send(connection, request.tar(), headers, path) as response,
    ):
        yield response


def read_until(response: http.client.HTTPResponse, text: str) -> None:
    """Read the stream up to the log entry that holds *text*."""
    line: dict[str, Any] = {}
    for line in documents(response):
        if any(text in entry for entry in line["log"]):
            return
    raise AssertionError(f"the stream ended before {text!r}: {line.get('error')}")


def documents(response: http.client.HTTPResponse) -> Iterator[dict[str, Any]]:
    while line := response.readline():
        yield json.loads(line)


def build(url: str, request: Request, *, accept: str = "*/*", path: str = "/build") -> Answer:
    return post(url, request.tar(), {"Accept": accept}, path=path)


def assert_built(answer: Answer) -> None:
    assert (answer.status, answer.document["status"]) == (200, "success"), answer.document


def post(
    url: str, body: bytes, headers: Mapping[str, str | None], *, path: str = "/build"
) -> Answer:
    """Post *body*; *headers* may replace the right signature with another, or with None to leave it out."""
    with closing(connect(url)) as connection, _send(connection, body, headers, path) as response:
        return Answer(response.status, dict(response.getheaders()), response.read())


def get(url: str, path: str, method: str = "GET") -> Answer:
    with closing(connect(url)) as connection:
        connection.request(method, path)
        with connection.getresponse() as response:
            return Answer(response.status, dict(response.getheaders()), response.read())


def _send(
    connection: http.client.HTTPConnection,
    body: bytes,
    headers: Mapping[str, str | None],
    path: str = "/build",
) -> http.client.HTTPResponse:
    sent = {"X-Build-Signature": signature(body), **headers}
    connection.request("POST", path, body, {k: v for k, v in sent.items() if v is not None})
    return connection.getresponse()
