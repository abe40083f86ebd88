"""A policy on the real daemon, which judges what a build names in whatever way."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from secrets import token_hex
from typing import TYPE_CHECKING, Any

import pytest
from stack.daemons import ports
from stack.images.registry_client import RegistryClient

from .caller import NDJSON, Answer, Request, assert_built, build
from .tenancy import ACME, build_as, of, sealed, serving_tenants, tenants_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from stack.daemons.registry import Registry
    from stack.machine import Machine

    from .conftest import StartFunction

BASE = "debian:trixie-slim"
FROM = f"FROM {BASE}\n"
LIBRARY = {"images": {"allow": ["docker.io/library/**"]}}
HOSTS = {"hosts": {"allow": ["github.com"]}, "git": {"allow": ["github.com/acme/**"]}}


@pytest.fixture
def refusal(
    start_function: StartFunction, machine: Machine, shared_daemon: str
) -> Callable[..., dict[str, Any]]:
    """Build under a policy, and return the document that the refusal is answered with."""

    def refused(policy: dict[str, Any], request: Request) -> dict[str, Any]:
        document = tenants_file({"policy": policy})
        with serving_tenants(start_function, machine, shared_daemon, document) as url:
            answer = build_as(ACME, url, request)
            assert (answer.status, answer.document["reason"]) == (403, "policy_refused"), (
                answer.document
            )
            return answer.document

    return refused


@pytest.fixture
def built(
    start_function: StartFunction, machine: Machine, shared_daemon: str
) -> Callable[..., Answer]:
    """Build under a policy, and return the answer of a success."""

    def succeeded(policy: dict[str, Any], request: Request) -> Answer:
        document = tenants_file({"policy": policy})
        with serving_tenants(start_function, machine, shared_daemon, document) as url:
            answer = build_as(ACME, url, request)
            assert_built(answer)
            return answer

    return succeeded


@pytest.mark.parametrize(
    ("policy", "dockerfile", "line", "rule"),
    [
        (LIBRARY, "FROM evil.example/base:1\n", 1, "policy.images.allow"),
        (LIBRARY, f"{FROM}COPY --from=evil.example/a /x /\n", 2, "policy.images.allow"),
        (
            LIBRARY,
            f"{FROM}RUN --mount=from=evil.example/a,target=/x true\n",
            2,
            "policy.images.allow",
        ),
        (LIBRARY, f"# syntax=evil.example/frontend:1\n{FROM}", 1, "policy.images.allow"),
        (LIBRARY, f"# syntax=docker/dockerfile:1\n{FROM}", 1, "policy.images.allow"),
        ({}, f"# syntax={BASE}\n{FROM}", 1, "policy.frontends.allow"),
        ({}, f"// syntax={BASE}\n{FROM}", 1, "policy.frontends.allow"),
        ({}, f"#!/build\n# syntax={BASE}\n{FROM}", 2, "policy.frontends.allow"),
        ({}, f'{{"syntax": "{BASE}"}}', 1, "policy.frontends.allow"),
        (
            LIBRARY,
            f"{FROM}COPY --from=evil.example/a <<EOF /x\nhi\nEOF\n",
            2,
            "policy.images.allow",
        ),
        (
            LIBRARY,
            f"{FROM}RUN --mount=type=cache,target=/x,from=evil.example/a true\n",
            2,
            "policy.images.allow",
        ),
        (LIBRARY, "ARG B\nFROM ${B:-evil.example/a}\n", 2, "policy.images.allow"),
        ({"images": {"deny": ["debian"]}}, FROM, 1, "policy.images.deny"),
        ({"digests": "required"}, FROM, 1, "policy.digests"),
        (HOSTS, f"{FROM}ADD https://evil.example/x /\n", 2, "policy.hosts.allow"),
        (HOSTS, f"{FROM}ADD https://github.com@evil.example/x /\n", 2, "policy.hosts.allow"),
        (HOSTS, f"{FROM}ARG H=evil\nADD https://$H.example/x /\n", 3, "policy.hosts.allow"),
        (HOSTS, f"{FROM}ADD https://evil.example/a/b.git /\n", 2, "policy.hosts.allow"),
        (HOSTS, f"{FROM}ADD git@evil.example:a/b.git /\n", 2, "policy.hosts.allow"),
        (HOSTS, f"{FROM}ADD https://github.com/evil/b.git /\n", 2, "policy.git.allow"),
        (HOSTS, f"{FROM}ADD https://github.com/acme/../evil/b.git /\n", 2, "policy.git.allow"),
    ],
)
def test_what_a_dockerfile_names_is_refused_with_its_line_and_the_rule(
    refusal: Callable[..., dict[str, Any]],
    policy: dict[str, Any],
    dockerfile: str,
    line: int,
    rule: str,
) -> None:
    document = refusal(policy, of(dockerfile))

    assert f"(Dockerfile:{line})" in document["error"]
    assert rule in document["error"]
    assert "Ask the operator of the builder" in document["error"]
    assert document["failedStep"]["line"] == line


def test_a_build_argument_cannot_name_another_frontend(
    refusal: Callable[..., dict[str, Any]],
) -> None:
    document = refusal(LIBRARY, of(FROM, buildArgs={"BUILDKIT_SYNTAX": "evil.example/frontend:1"}))

    assert "evil.example/frontend:1" in document["error"]


def test_a_build_argument_cannot_bring_a_scanner(refusal: Callable[..., dict[str, Any]]) -> None:
    scanner = {"BUILDKIT_ATTEST_SBOM": "generator=evil.example/scanner"}

    assert "evil.example/scanner" in refusal(LIBRARY, of(FROM, buildArgs=scanner))["error"]


def test_a_stream_ends_with_the_refusal(
    start_function: StartFunction, machine: Machine, shared_daemon: str
) -> None:
    document = tenants_file({"policy": LIBRARY})
    with serving_tenants(start_function, machine, shared_daemon, document) as url:
        answer = build_as(ACME, url, of("FROM evil.example/base:1\n"), accept=NDJSON)

    assert answer.document["reason"] == "policy_refused"
    assert "(Dockerfile:1)" in answer.document["error"]


def test_a_build_with_secrets_is_held_to_the_policy_too(
    refusal: Callable[..., dict[str, Any]],
) -> None:
    dockerfile = f"{FROM}RUN --mount=type=secret,id=token true\nCOPY --from=evil.example/a /x /\n"

    document = refusal(LIBRARY, sealed(of(dockerfile), {"token": "a value to be kept"}))

    assert "policy.images.allow" in document["error"]


@pytest.fixture
def onbuild(start_registry: Callable[..., Registry], builder: str) -> str:
    """Push an image that has its children copy from another one."""
    registry = start_registry()
    name = f"{registry.address}/team/onbuild:1"
    dockerfile = f"{FROM}ONBUILD COPY --from=evil.example/a /x /\n"
    assert_built(build(builder, Request({"Dockerfile": dockerfile}, name)))
    return name


def test_what_a_base_image_hides_is_refused_too(
    refusal: Callable[..., dict[str, Any]], onbuild: str
) -> None:
    registry = onbuild.partition("/")[0]
    policy = {"images": {"allow": [f"{registry}/**", "docker.io/library/**"]}}

    assert "evil.example/a" in refusal(policy, of(f"FROM {onbuild}\n"))["error"]


def test_what_is_allowed_is_built(built: Callable[..., Answer]) -> None:
    policy = {**LIBRARY, **HOSTS}
    dockerfile = f"{FROM}COPY a /\nRUN --mount=type=secret,id=token cat /a\n"

    built(policy, sealed(of(dockerfile, {"a": "a"}), {"token": "a value to be kept"}))
    built(policy, of(dockerfile, {"a": "a"}))


def test_a_table_pins_what_has_no_digest(
    built: Callable[..., Answer], refusal: Callable[..., dict[str, Any]], mirror: str
) -> None:
    digest = RegistryClient(mirror).image("library/debian", "trixie-slim", "amd64").digest
    pinned = {"digests": "pinned", "pins": {BASE: digest}}

    answer = built(pinned, of(f"{FROM}RUN true\n"))

    assert answer.document["status"] == "success"
    assert "policy.pins" in refusal(pinned, of("FROM python:3.12\n"))["error"]


def test_the_frontend_that_is_built_in_stands_in_for_its_image(
    built: Callable[..., Answer],
) -> None:
    answer = built({}, of(f"# syntax=docker/dockerfile:1\n{FROM}"))

    assert not any("docker.io/docker/dockerfile" in line for line in answer.document["log"])


@pytest.mark.parametrize("flag", ["", "--network=default "])
def test_steps_have_no_network_where_there_is_to_be_none(
    built: Callable[..., Answer], flag: str
) -> None:
    dockerfile = f"{FROM}RUN {flag}echo {token_hex(8)} interfaces:$(tail -n +3 /proc/net/dev | cut -d: -f1)\n"

    log = built({"network": "none"}, of(dockerfile)).document["log"]

    assert any(entry.endswith(" interfaces: lo") for entry in log), log


def test_a_step_cannot_ask_for_the_hosts_network(
    start_function: StartFunction, machine: Machine, shared_daemon: str
) -> None:
    document = tenants_file({"policy": {"network": "none"}})
    with serving_tenants(start_function, machine, shared_daemon, document) as url:
        answer = build_as(ACME, url, of(f"{FROM}RUN --network=host true\n"))

    assert answer.status == 422
    assert "network.host is not allowed" in answer.document["error"]


def test_a_platform_that_is_not_allowed_is_refused_before_the_daemon_is_asked(
    refusal: Callable[..., dict[str, Any]],
) -> None:
    document = refusal({"platforms": ["linux/amd64"]}, of(FROM, platforms=["linux/arm64"]))

    assert "policy.platforms has linux/amd64" in document["error"]


def test_the_policy_of_all_holds_for_every_tenant(
    start_function: StartFunction, machine: Machine, shared_daemon: str
) -> None:
    document = tenants_file({"policy": {"images": {"allow": ["**"]}}}, policy=LIBRARY)
    with serving_tenants(start_function, machine, shared_daemon, document) as url:
        answer = build_as(ACME, url, of("FROM evil.example/base:1\n"))

    assert answer.document["reason"] == "policy_refused"


@contextmanager
def serving(location: str = "") -> Iterator[str]:
    """Yield the host:port of a server that sends everybody to *location*, or gives out a file."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b"" if location else b"from inside"
            self.send_response(302 if location else 200)
            if location:
                self.send_header("Location", location)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer((ports.LOOPBACK, 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"{ports.LOOPBACK}:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_a_redirect_leads_to_hosts_that_are_not_allowed(
    built: Callable[..., Answer], refusal: Callable[..., dict[str, Any]]
) -> None:
    """What POLICY.md says of redirects: the daemon judges the address that ADD names, and no other."""
    with serving() as inside, serving(f"http://{inside}/file") as allowed:
        policy = {"hosts": {"allow": [allowed]}}

        built(policy, of(f"{FROM}ADD http://{allowed}/file /\nRUN grep inside /file\n"))
        refusal(policy, of(f"{FROM}ADD http://{inside}/file /\n"))
