"""Expects of the daemon in use each text that we go by: one that is gone fails by its name."""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from collections import defaultdict
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from function.buildkit import ANONYMOUS, Action, SolveSpec, SourceRule, session_services
from function.buildkit.rpc.channel import target
from function.buildkit.rpc.control import Control
from function.buildkit.rpc.http2.connections import Connections
from function.buildkit.rpc.llb_bridge import LLBBridge
from function.buildkit.text.display_strings import all_of_them
from function.fsutil.tree import Entry, Kind, Tree
from function.pb import control_pb2 as pb

from ..fake_buildkitd.hearing import heard
from .refusing_registry import Refusal, refusing
from .serving import Handler, serving

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

VERTEXES, STATUSES, ERRORS, WARNINGS = "a vertex's name", "a status", "an error", "a warning"
PRINTED_AS = {
    VERTEXES: "LOAD_DEFINITION LOAD LOAD_METADATA RESOLVE_CONFIG FRONTEND_IMAGE FROM STEP FIRST_STAGE "
    "EXPORT",
    STATUSES: "TRANSFERRING EXPORTED_MANIFEST PUSHING PUSHING_LAYERS PUSHED",
    ERRORS: "JOB_EXISTS NO_SUCH_JOB NO_SUCH_RECORD CANCELED CACHE_KEY CHECKSUM EXIT_CODE NO_SECRET "
    "PULL_FAILED SOURCE_DENIED PUSH_FAILED LAYER_FAILED AUTHORIZE_FAILED UNEXPECTED_STATUS",
    WARNINGS: "LINTED_LINE",
}
KIND = {name: kind for kind, names in PRINTED_AS.items() for name in names.split()}

SECONDS = 60.0
PLATFORM = {"platform": "linux/amd64", "multi-platform": "true"}
ONE_FAILS = """\
FROM debian:trixie-slim AS slow
RUN sleep 20 # {}
FROM debian:trixie-slim AS failing
RUN sleep 1; exit 3 # {}
FROM scratch
COPY --from=slow / /
COPY --from=failing / /
"""
# In the shape of an index for two platforms, which need no base image.
BUILDS: tuple[tuple[str, dict[str, str], bool], ...] = (
    ("FROM scratch\nCOPY . /\n", {"platform": "linux/amd64,linux/arm64"}, True),
    ("FROM scratch\nCOPY . /\n", {}, True),
    ("FROM scratch\nCOPY . /\nFROM scratch\nCOPY --from=0 . /\n", {}, False),
    ("FROM debian:trixie-slim\nRUN exit 7 # {}\n", PLATFORM, False),
    ("FROM debian:trixie-slim\nRUN exit 7 # {}\n", {}, False),
    ("# syntax=docker/dockerfile:1\nFROM scratch\nCOPY . /\n", {}, False),
    ("FROM scratch\nCOPY nothing /\n", {}, False),
    (
        "FROM debian:trixie-slim\nRUN --mount=type=secret,id=absent,required=true exit 7 # {}\n",
        {},
        False,
    ),
    ("FROM scratch\ncopy . /\n", {}, False),
    (ONE_FAILS, {}, False),
)

Said = defaultdict[str, set[str]]


@pytest.fixture(scope="module")
def said(shared_daemon: str, mirror: str) -> Said:
    """Collect, by kind, all that the daemon says of builds which between them bring out each text."""
    texts: Said = defaultdict(set)
    with (
        grpc.insecure_channel(target(shared_daemon)) as channel,
        refusing(Refusal(status=403, code="DENIED", message="not for you")) as forbidden,
        incomplete() as lacking,
    ):
        control = Control(channel)
        connections = Connections(shared_daemon, None, patience=SECONDS)
        for dockerfile, attrs, push in BUILDS:
            name = f"{mirror}/display-strings:{uuid.uuid4().hex}"
            build(connections, texts, dockerfile, attrs, *([name] if push else []))
        build(connections, texts, f"FROM {forbidden}/team/base:1\n", {})
        build(connections, texts, "FROM scratch\nCOPY . /\n", {}, f"{forbidden}/team/app:1")
        build(connections, texts, f"FROM {lacking}/no-token/base:1\n", {})
        build(connections, texts, f"FROM {lacking}/no-layer/base:1\nRUN true # {{}}\n", {})
        build(connections, texts, "FROM debian:trixie-slim\n", {}, denied="docker-image://.*")
        refuse(control, texts)
    return texts


def build(
    connections: Connections,
    texts: Said,
    dockerfile: str,
    attrs: Mapping[str, str],
    *names: str,
    denied: str = "",
) -> None:
    ref = uuid.uuid4().hex
    data = memoryview(dockerfile.replace("{}", ref).encode())
    entries = (
        Entry("Dockerfile", Kind.FILE, 0o644, 0, data),
        Entry("new", Kind.FILE, 0o644, 0, memoryview(ref.encode())),
    )
    tree = Tree(entries)
    services = session_services({"context": tree, "dockerfile": tree}, lambda _host: ANONYMOUS, {})
    policy = [SourceRule(action=Action.DENY, pattern=denied)] if denied else []
    spec = SolveSpec(
        ref=ref, names=names, frontend_attrs=attrs, source_policy=policy, internal=True
    )
    found = heard(connections, spec, services)
    for response in found.statuses:
        texts[VERTEXES].update(vertex.name for vertex in response.vertexes)
        texts[ERRORS].update(vertex.error for vertex in response.vertexes)
        texts[STATUSES].update(status.ID for status in response.statuses)
        texts[WARNINGS].update(warning.short.decode() for warning in response.warnings)
    if error := found.solve.error:
        texts[ERRORS].add(error.details())


def refuse(control: Control, texts: Said) -> None:
    """Ask for what is there already, and for what is not there."""
    ref = uuid.uuid4().hex
    held = control.solve.future(pb.SolveRequest(Ref=ref, Internal=True))
    LLBBridge(control.channel, ref).inputs(timeout=SECONDS).result()
    note(texts, control.solve.future(pb.SolveRequest(Ref=ref, Internal=True), timeout=SECONDS))
    held.cancel()
    note(texts, LLBBridge(control.channel, uuid.uuid4().hex).inputs(timeout=SECONDS))
    unknown = pb.UpdateBuildHistoryRequest(Ref=uuid.uuid4().hex)
    note(texts, control.update_build_history.future(unknown, timeout=SECONDS))


def note(texts: Said, call: grpc.Future[Any]) -> None:
    error = call.exception()
    if isinstance(error, grpc.RpcError):
        texts[ERRORS].add(error.details() or "")


@contextmanager
def incomplete() -> Iterator[str]:
    """Yield the host:port of a registry that gives out no tokens, and lacks its image's layers."""
    layer = "sha256:" + hashlib.sha256(str(time.time_ns()).encode()).hexdigest()
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": [layer]},
        }
    ).encode()
    config_digest = "sha256:" + hashlib.sha256(config).hexdigest()
    oci = "application/vnd.oci.image"
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": f"{oci}.manifest.v1+json",
            "config": {
                "mediaType": f"{oci}.config.v1+json",
                "digest": config_digest,
                "size": len(config),
            },
            "layers": [{"mediaType": f"{oci}.layer.v1.tar+gzip", "digest": layer, "size": 100}],
        }
    ).encode()

    class Answering(Handler):
        def answer(self) -> None:
            if self.path.startswith("/v2/no-layer/base/manifests/"):
                self.reply(200, manifest, {"Content-Type": f"{oci}.manifest.v1+json"})
            elif self.path.endswith(config_digest):
                self.reply(200, config)
            elif self.path.startswith("/v2/no-token/"):
                host = self.headers["Host"]
                realm = f'Bearer realm="http://{host}/token",service="s"'
                self.reply(401, b"", {"WWW-Authenticate": realm})
            else:
                self.reply(403 if self.path.startswith("/token") else 404, b"")

        def reply(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
            self.send_response(status)
            digest = hashlib.sha256(body).hexdigest()
            known = {"Content-Length": str(len(body)), "Docker-Content-Digest": f"sha256:{digest}"}
            for name, value in {**known, **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_HEAD = do_POST = answer  # noqa: N815 - the base class looks for them

    with serving(Answering) as address:
        yield address


def test_each_is_expected_as_what_it_is_printed_as() -> None:
    assert KIND.keys() == all_of_them().keys()


@pytest.mark.parametrize("name", all_of_them())
def test_the_daemon_still_prints(said: Said, name: str) -> None:
    string, kind = all_of_them()[name], KIND[name]

    printed = [text for text in said[kind] if string.search(text)]

    assert printed, (
        f"The daemon in use no longer prints {name} ({string.pattern.pattern}) as {kind}. BuildKit "
        f"v0.32.2 did in {string.printed_by}. On it depends {string.decides}. Of that kind it says: "
        f"{sorted(said[kind])}"
    )
