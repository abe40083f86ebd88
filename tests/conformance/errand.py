"""Disk and process I/O. What a client is sent to build: its folder laid out, and what it then printed."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from secrets import token_hex
from typing import IO, TYPE_CHECKING

from stack.errors import StackError
from stack.images.registry_client import RegistryClient

from .table import Case

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from .table import Trial

SECONDS = 60

# As `openssl rand -base64 24` makes them: needs no quotes, since the documentation has none.
PAYLOAD_SECRET = "bXkgcGF5bG9hZCBzZWNyZXQgZm9yIGN1cmw="
ANOTHER_SECRET = "YW5vdGhlciBwYXlsb2FkIHNlY3JldA=="

BUILDS = "FROM scratch\nCOPY . /home/app\n"
FAILS = "FROM debian:trixie-slim\nRUN echo a last word; exit 3\n"
# A template, for clients that lay a handler over one.
LANGUAGE = "own"


def pauses() -> str:
    """Return a Dockerfile with a step that takes a while, and was never run before."""
    return f"FROM debian:trixie-slim\nRUN sleep 1; echo {token_hex(8)}\n"


def needs_secret(value: str) -> str:
    """Return a Dockerfile whose step succeeds with this value of the secret `token` only."""
    # Its hash, since a Dockerfile is quoted in the log.
    digest = hashlib.sha256(value.encode()).hexdigest()
    return f"""\
FROM debian:trixie-slim
RUN --mount=type=secret,id=token sha256sum /run/secrets/token | grep -q {digest}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Printed:
    exit_code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        return self.out + self.err


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """A client's folder: `build/context`, `template/own` with the handler `hello`, and `payload.txt`."""

    trial: Trial
    folder: Path
    url: str
    image: str

    def lay_out(self, builds: str) -> None:
        """Lay the folder out; *builds* is the Dockerfile, unless the build is to fail."""
        dockerfile = FAILS if self.trial.case is Case.FAILED_BUILD else builds
        secret = ANOTHER_SECRET if self.trial.case is Case.WRONG_KEY else PAYLOAD_SECRET
        self.add_template(self.context, dockerfile)
        self.add_template(self.folder / "template" / LANGUAGE, dockerfile)
        for handler in (self.context / "function", self.folder / "hello"):
            handler.mkdir(exist_ok=True)
            (handler / "handler.js").write_text(f"module.exports = {json.dumps(self.image)}\n")
        self.payload_secret.write_text(secret + "\n")

    def add_template(self, folder: Path, dockerfile: str) -> None:
        (folder / "function").mkdir(parents=True)
        (folder / "Dockerfile").write_text(dockerfile)
        (folder / "template.yml").write_text(f"language: {folder.name}\n")
        (folder / ".dockerignore").write_text("*/node_modules\n")

    @property
    def context(self) -> Path:
        return self.folder / "build" / "context"

    @property
    def payload_secret(self) -> Path:
        return self.folder / "payload.txt"

    def run(self, *command: str | Path, environment: Mapping[str, str] | None = None) -> Printed:
        """Run a client's command; what it prints is shown by pytest's -rP as well."""
        done = subprocess.run(
            command,
            cwd=self.folder,
            env={**os.environ, "BUILDER_URL": self.url, **(environment or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=SECONDS,
            check=False,
        )
        printed = Printed(
            exit_code=done.returncode,
            out=done.stdout.decode(errors="replace"),
            err=done.stderr.decode(errors="replace"),
        )
        sys.stdout.write(printed.out)
        sys.stderr.write(printed.err)
        return printed

    def shell(self, script: str) -> Printed:
        """Run commands as a person would type them, with the build's config already written."""
        config = {"image": self.image, "buildArgs": {}}
        (self.context.parent / "com.openfaas.docker.config").write_text(json.dumps(config))
        return self.run("bash", "-eu", "-o", "pipefail", "-c", script)

    def assert_shows(self, printed: Printed) -> None:
        """Assert that the row's promises were printed, and no success is claimed without an image."""
        assert self.trial.shows.replace("{image}", self.image) in printed.text
        if self.trial.case is Case.SUCCESS:
            assert self.is_pushed()

    def assert_live(self, *command: str | Path) -> None:
        """Assert that a step's output reaches the client's user while the step runs; for `pauses`."""
        with self._start(*command) as lines:
            assert any("RUN sleep" in line for line in lines)  # which reads no further
            assert not self.is_pushed()
            lines.read()
        assert self.is_pushed()

    def is_pushed(self) -> bool:
        host, _, name = self.image.partition("/")
        repository, _, tag = name.rpartition(":")
        try:
            RegistryClient(host).image(repository, tag, "amd64")
        except StackError:
            return False
        return True

    @contextmanager
    def _start(self, *command: str | Path) -> Iterator[IO[str]]:
        """Yield what the client prints, as it prints it. Leaving the block early ends it."""
        environment = {**os.environ, "BUILDER_URL": self.url}
        with subprocess.Popen(
            command, cwd=self.folder, env=environment, stdout=subprocess.PIPE, text=True
        ) as process:
            try:
                assert process.stdout
                yield process.stdout
            finally:
                process.kill()
