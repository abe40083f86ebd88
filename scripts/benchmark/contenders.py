"""Socket and process I/O. One build by each contender, prepared first, then run by the clock."""

import http.client
import json
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from . import folder, requests
from .contexts import Context
from .errors import BenchmarkError

BUILD_SECONDS = 600.0
SHOWN_CHARACTERS = 2_000

Log = Sequence[str]


class Build(Protocol):
    """One build, made ready as far as is not its contender's own work."""

    def run(self) -> Log:
        """What is measured. Returns the build's log; raises BenchmarkError unless it succeeded."""

    def clean_up(self, *, large: bool) -> None:
        """After the clock has stopped; a large build's files go from the disk."""


class Contender(Protocol):
    def prepare(self, context: Context, *, image: str, pushed: bool) -> Build:
        """Builds of one image name follow one another; those of different names may run at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A builder behind HTTP: ours and the rival alike."""

    name: str
    url: str
    secret: bytes

    def prepare(self, context: Context, *, image: str, pushed: bool) -> "Post":
        request = requests.request(context, image=image, pushed=pushed, secret=self.secret)
        address = urlsplit(self.url)
        connection = http.client.HTTPConnection(
            address.hostname or "", address.port, timeout=BUILD_SECONDS
        )
        return Post(name=self.name, connection=connection, request=request)


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """One request to a server."""

    name: str
    connection: http.client.HTTPConnection
    request: requests.Request

    def run(self) -> Log:
        try:
            self.connection.request(
                "POST",
                "/build",
                body=self.request.body,
                headers={
                    "Content-Type": "application/octet-stream",
                    "X-Build-Signature": self.request.signature,
                },
            )
            answer = self.connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException) as exc:
            raise BenchmarkError(f"{self.name} hung up on a build: {exc!r}.") from exc
        if answer.status != http.client.OK:
            shown = body[:SHOWN_CHARACTERS].decode(errors="replace")
            raise BenchmarkError(f"{self.name} answered {answer.status} to a build: {shown}")
        return list(json.loads(body)["log"])

    def clean_up(self, *, large: bool) -> None:
        del large  # nothing is on the disk
        self.connection.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Buildctl:
    """The whole process, from a folder that is already on the disk."""

    program: Path
    buildkit: str
    scratch: Path

    def prepare(self, context: Context, *, image: str, pushed: bool) -> Build:
        source = self.scratch / image.rpartition("/")[2].replace(":", "-")
        folder.write(context, source)
        command = [
            *(str(self.program), "--addr", self.buildkit, "build", "--progress=plain"),
            *("--frontend", "dockerfile.v0"),
            *("--local", f"context={source}", "--local", f"dockerfile={source}"),
            *(("--output", f"type=image,name={image},push=true") if pushed else ()),
        ]
        return _Process(command=command, source=source)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Process:
    command: Sequence[str]
    source: Path

    def run(self) -> Log:
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
        return finished.stderr.splitlines()

    def clean_up(self, *, large: bool) -> None:
        if large:
            shutil.rmtree(self.source)
