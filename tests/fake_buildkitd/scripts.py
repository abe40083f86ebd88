"""Builds as the daemon plays them.

Each of `CASES` has the Dockerfile that a real daemon plays so: one live test has both build it, and compares
what they said.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .build import digest_of
from .failure import Failure

if TYPE_CHECKING:
    from collections.abc import Mapping

    from function.pb import gateway_pb2

    from .build import Build
    from .solver import Script

DEFINITION = "[internal] load build definition from Dockerfile"
IGNORE_FILE = "[internal] load .dockerignore"
CONTEXT = "[internal] load build context"
BASE = "docker.io/library/debian:trixie-slim"
EXPORT = "exporting to image"

# Where in the daemon an error came from: nobody is to be shown that.
STACK = b'{"frames":[{"File":"/src/solver/jobs.go"}]}'


def succeed(build: Build) -> Mapping[str, str]:
    """Build `FROM scratch`, `COPY . /`; export and push what is asked for."""
    load(build)
    with build.step(CONTEXT):
        build.status(CONTEXT, "transferring context:", current=40)
    with build.step("[1/1] COPY . /"):
        pass
    return export(build)


def fail(build: Build) -> Mapping[str, str]:
    """Run a step that prints something and exits with 7."""
    load(build, base=BASE)
    name = "[2/2] RUN echo out; echo err >&2; exit 7"
    cause = 'process "/bin/sh -c echo out; echo err >&2; exit 7" did not complete successfully: exit code: 7'
    with build.step(name):
        build.prints(name, b"out\n")
        build.prints(name, b"err\n", stream=2)
        raise Failure(cause, details=of_step(name, line=2, code=7))
    raise AssertionError


def fail_to_parse(build: Build) -> Mapping[str, str]:
    """Read a Dockerfile that is none."""
    with build.step(DEFINITION):
        build.status(DEFINITION, "transferring dockerfile:", current=14)
    cause = "dockerfile parse error on line 1: unknown instruction: FRM (did you mean FROM?)"
    raise Failure(
        cause,
        details={
            "github.com/moby/buildkit/errdefs.Source+json": source(1),
            "github.com/moby/buildkit/errdefs.Frontend+json": b'{"name":"dockerfile.v0"}',
            "github.com/moby/buildkit/stack.Stack+json": STACK,
        },
    )


def miss_a_file(build: Build) -> Mapping[str, str]:
    """Copy what is not there."""
    load(build)
    with build.step(CONTEXT):
        build.status(CONTEXT, "transferring context:", current=2)
    name = "[1/1] COPY nothing /"
    cause = 'failed to calculate checksum of ref 5s0q5s0q::1: "/nothing": not found'
    build.begin(name)
    build.end(name, error=cause)
    raise Failure(f"failed to compute cache key: {cause}", details=of_step(name, line=2))


def warn(build: Build) -> Mapping[str, str]:
    """Build what the linter has something to say of."""
    with build.step(DEFINITION):
        build.status(DEFINITION, "transferring dockerfile:", current=30)
    build.warn(
        DEFINITION,
        "ConsistentInstructionCasing: Command 'copy' should match the case of the command majority "
        "(uppercase) (line 2)",
        url="https://docs.docker.com/go/dockerfile/rule/consistent-instruction-casing/",
        line=2,
    )
    with build.step(IGNORE_FILE):
        build.status(IGNORE_FILE, "transferring context:", current=2)
    with build.step(CONTEXT):
        build.status(CONTEXT, "transferring context:", current=40)
    with build.step("[1/1] COPY . /"):
        pass
    return export(build)


def load(build: Build, *, base: str = "") -> None:
    """Begin as every build does."""
    with build.step(DEFINITION):
        build.status(DEFINITION, "transferring dockerfile:", current=30)
    if base:
        with build.step(f"[internal] load metadata for {base}"):
            pass
    with build.step(IGNORE_FILE):
        build.status(IGNORE_FILE, "transferring context:", current=2)
    if base:
        pinned = f"{base}@{digest_of(base)}"
        name = f"[1/2] FROM {pinned}"
        build.begin(name)
        build.status(name, f"resolve {pinned}")
        build.cached(name)


def export(build: Build) -> Mapping[str, str]:
    """Export an image and push it, if that is asked for."""
    if not build.request.Exporters:
        return {}
    platform = build.request.FrontendAttrs["platform"] or "linux/amd64"
    layer = {"digest": digest_of("layer"), "size": 1000}
    image = build.content.add_image(layer, architecture=platform.split("/")[1])["digest"]
    with build.step(EXPORT):
        build.status(EXPORT, "exporting layers")
        build.status(EXPORT, f"exporting manifest {image}")
        build.status(EXPORT, f"exporting config {image}")
    push(build, image)
    return {
        "containerimage.digest": image,
        "containerimage.config.digest": image,
        "containerimage.descriptor": "e30=",
        "image.name": ",".join(build.names),
    }


def join(build: Build, *, result: gateway_pb2.Result) -> Mapping[str, str]:
    """Export an index of images that a client of the LLBBridge has returned."""
    manifests = []
    for platform in json.loads(result.metadata["refs.platforms"])["Platforms"]:
        digest = result.refs.refs[platform["ID"]].id.rpartition("@")[2]
        # Its layers are another daemon's.
        build.content.blobs.setdefault(
            digest, b'{"config": {"digest": "", "size": 0}, "layers": []}'
        )
        manifests.append({"digest": digest, "size": 9, "platform": platform["Platform"]})
    index = build.content.add_document({"manifests": manifests})["digest"]
    with build.step(EXPORT):
        for manifest in manifests:
            build.status(EXPORT, f"exporting manifest {manifest['digest']}")
        build.status(EXPORT, f"exporting manifest list {index}")
    push(build, index)
    return {"containerimage.digest": index}


def push(build: Build, image: str) -> None:
    by_digest = any(each.Attrs.get("push-by-digest") == "true" for each in build.request.Exporters)
    with build.step(EXPORT):
        for name in build.names:
            build.status(EXPORT, "pushing layers")
            pushed = name if by_digest else f"{name}@{image}"
            build.status(EXPORT, f"pushing manifest for {pushed}")


def of_step(name: str, *, line: int, code: int | None = None) -> dict[str, bytes]:
    """Return the details of an error that a step failed with."""
    vertex = json.dumps({"digest": digest_of(name)}).encode()
    details = {
        "github.com/moby/buildkit/errdefs.Vertex+json": vertex,
        "github.com/moby/buildkit/errdefs.Source+json": source(line),
        "github.com/moby/buildkit/stack.Stack+json": STACK,
    }
    if code is not None:
        exit_code = json.dumps({"Code": code}).encode()
        details["github.com/moby/buildkit/gatewayapi.ExitMessage+json"] = exit_code
    return details


def source(line: int) -> bytes:
    text = base64.b64encode(b"FROM a\nRUN b\n").decode()
    ranges = [{"start": {"line": line}, "end": {"line": line}}]
    return json.dumps({"info": {"filename": "Dockerfile", "data": text}, "ranges": ranges}).encode()


@dataclass(frozen=True)
class Case:
    """A script, and the Dockerfile that a real daemon plays so. "{}" in it stands for what is new."""

    play: Script
    dockerfile: str
    push: bool = False
    pulls: bool = False

    @property
    def name(self) -> str:
        return self.play.__name__


CASES = (
    Case(succeed, "FROM scratch\nCOPY . /\n", push=True),
    Case(fail, "FROM debian:trixie-slim\nRUN echo out; echo err >&2; exit 7\n", pulls=True),
    Case(fail_to_parse, "FRM scratch\n"),
    Case(miss_a_file, "FROM scratch\nCOPY nothing /\n"),
    Case(warn, "FROM scratch\ncopy . /\n"),
)
