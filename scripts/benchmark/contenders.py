"""Socket and process I/O. One build by each contender, prepared first, then run by the clock."""

import http.client
import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from . import folder, requests, usage
from .contexts import Context
from .errors import BenchmarkError
from .figures import Span
from .usage import Usage

BUILD_SECONDS = 600.0
SHOWN_CHARACTERS = 2_000

Log = Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """A build that succeeded. The two spans are a bare client's answer, which tells the floor."""

    log: Log
    document: Mapping[str, Any] = field(default_factory=dict)  # the last one of a server's answer
    client: Span | None = None  # from Solve to its end
    daemon: Span | None = None  # from the first vertex to the last


class Build(Protocol):
    """One build, made ready as far as is not its contender's own work."""

    def run(self) -> Built:
        """Build: this is what is measured. Raises BenchmarkError unless the build succeeded."""

    def clean_up(self, *, large: bool) -> None:
        """Clean up after the clock has stopped; a large build's files go from the disk."""


class Contender(Protocol):
    def prepare(self, context: Context, *, image: str, pushed: bool, streamed: bool) -> Build:
        """Prepare a build.

        Builds of one image name follow one another; those of different names may run at once.
        """

    def usage(self) -> Usage | None:
        """Return the usage of its processes so far; None if they are somebody else's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A builder behind HTTP: ours and the rival alike."""

    name: str
    url: str
    secret: bytes
    pid: int | None  # None if it was not started by this run

    def prepare(self, context: Context, *, image: str, pushed: bool, streamed: bool) -> "Post":
        request = requests.request(context, image=image, pushed=pushed, secret=self.secret)
        address = urlsplit(self.url)
        connection = http.client.HTTPConnection(
            address.hostname or "", address.port, timeout=BUILD_SECONDS
        )
        return Post(name=self.name, connection=connection, request=request, streamed=streamed)

    def usage(self) -> Usage | None:
        return None if self.pid is None else usage.of_process(self.pid)


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """One request to a server. Asks for a stream, and takes one document from servers that make none."""

    name: str
    connection: http.client.HTTPConnection
    request: requests.Request
    streamed: bool
    headers: Mapping[str, str] = field(default_factory=dict)

    def run(self) -> Built:
        accept = {"Accept": "application/x-ndjson"} if self.streamed else {}
        try:
            self.connection.request(
                "POST",
                "/build",
                body=self.request.body,
                headers={
                    "Content-Type": "application/octet-stream",
                    "X-Build-Signature": self.request.signature,
                    **accept,
                    **self.headers,
                },
            )
            answer = self.connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException) as exc:
            raise BenchmarkError(f"{self.name} hung up on a build: {exc!r}.") from exc
        documents = [json.loads(line) for line in body.splitlines()]
        if answer.status != http.client.OK or documents[-1].get("status") != "success":
            shown = body[-SHOWN_CHARACTERS:].decode(errors="replace")
            raise BenchmarkError(f"{self.name} answered {answer.status} to a build: {shown}")
        return Built(
            log=[line for document in documents for line in document["log"]],
            document=documents[-1],
            client=_span(documents[-1].get("client")),
            daemon=_span(documents[-1].get("daemon")),
        )

    def clean_up(self, *, large: bool) -> None:
        del large  # nothing is on the disk
        self.connection.close()


def _span(times: dict[str, Any] | None) -> Span | None:
    return Span(times["began"], times["ended"]) if times else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Buildctl:
    """The whole process, from a folder that is already on the disk."""

    program: Path
    buildkit: str
    scratch: Path

    def prepare(self, context: Context, *, image: str, pushed: bool, streamed: bool) -> Build:
        del streamed  # it always is
        source = self.scratch / image.rpartition("/")[2].replace(":", "-")
        folder.write(context, source)
        command = [
            *(str(self.program), "--addr", self.buildkit, "build", "--progress=plain"),
            *("--frontend", "dockerfile.v0"),
            *("--local", f"context={source}", "--local", f"dockerfile={source}"),
            *(("--output", f"type=image,name={image},push=true") if pushed else ()),
        ]
        return _Process(command=command, source=source)

    def usage(self) -> Usage | None:
        # While its builds run, nobody waits for any other child.
        return usage.of_children()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Process:
    command: Sequence[str]
    source: Path

    def run(self) -> Built:
        try:
            finished = subprocess.run(
                self.command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=BUILD_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as exc:
            raise BenchmarkError(f"buildctl did not run: {exc}.") from exc
        if finished.returncode:
            raise BenchmarkError(
                f"buildctl failed a build: {finished.stderr[-SHOWN_CHARACTERS:].strip()}"
            )
        return Built(log=finished.stderr.splitlines())

    def clean_up(self, *, large: bool) -> None:
        if large:
            shutil.rmtree(self.source)
