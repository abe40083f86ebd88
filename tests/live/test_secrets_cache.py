"""Secrets in steps, and what a changed one rebuilds: the client itself, on the shared daemon."""

from __future__ import annotations

import hashlib
import json
import re
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from stack.images.registry_client import RegistryClient

from function.buildkit import (
    ANONYMOUS,
    BuildkitError,
    Client,
    DaemonUnavailable,
    SolveFailed,
    SolveSpec,
    keyed,
    session_services,
)
from function.buildkit.session.filesync import DIFF_COPY
from function.context.shared_key import once
from function.fsutil.tree import Entry, Kind, Tree

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from stack.daemons.buildkitd import Buildkitd

    from function.buildkit import Solve

KEY = b"a key of thirty-two bytes length"
BASE = "FROM debian:trixie-slim\n"
AS_FILE = "--mount=type=secret,id=token"
AS_VARIABLE = "--mount=type=secret,id=token,env=TOKEN"
PATIENCE = 5.0


@dataclass(frozen=True)
class Build:
    """The traces of one build. A step that ran is one whose `echo ran-NAME` was heard."""

    log: list[str]
    digest: str = ""
    error: BuildkitError | None = None
    ran: set[str] = field(default_factory=set)

    @property
    def steps(self) -> list[str]:
        """The steps that were announced, by name and without numbers."""
        return sorted(line.split(" ", 1)[1] for line in self.log if re.match(r"#\d+ \[", line))


@pytest.fixture(scope="module")
def client(shared_daemon: str) -> Client:
    return Client(shared_daemon, None, patience=PATIENCE)


def started(
    client: Client,
    dockerfile: str,
    secrets: Mapping[str, bytes],
    *,
    name: str = "",
    through_gateway: bool = True,
    **attrs: str,
) -> Solve:
    data = memoryview(dockerfile.encode())
    tree = Tree((Entry("Dockerfile", Kind.FILE, 0o644, 0, data),))
    given = keyed(secrets, KEY)
    spec = SolveSpec(
        ref=uuid.uuid4().hex,
        frontend_attrs=attrs,
        names=(name,) if name else (),
        secret_ids=given.ids if through_gateway else {},
        internal=True,
    )
    locals_ = {"context": tree, "dockerfile": tree}
    services = session_services(locals_, lambda _host: ANONYMOUS, given.offered)
    return client.solve(spec, services, shared_key=once())


def build(
    client: Client,
    dockerfile: str,
    secrets: Mapping[str, bytes],
    *,
    name: str = "",
    through_gateway: bool = True,
    **attrs: str,
) -> Build:
    solve = started(
        client, dockerfile, secrets, name=name, through_gateway=through_gateway, **attrs
    )
    log: list[str] = []
    try:
        for lines in solve:
            log += lines
        digest, error = solve.result().digest, None
    except BuildkitError as exc:
        digest, error = "", exc
    finally:
        solve.close()
    ran = {line.rpartition("ran-")[2] for line in log if re.fullmatch(r"#\d+ [\d.]+ ran-\w+", line)}
    return Build(log, digest, error, ran)


def fresh(dockerfile: str) -> str:
    """Return *dockerfile*, of which no step can be in the cache yet."""
    return re.sub(
        r"^(ONBUILD )?RUN (.*)$",
        rf"\1RUN \2 && : {uuid.uuid4().hex}",
        dockerfile,
        flags=re.MULTILINE,
    )


def test_a_step_reads_a_secret_as_a_file_and_as_a_variable(client: Client) -> None:
    value = b"a\tsecret with 'quotes' and $dollars"
    steps = (
        f"RUN {AS_FILE} sha256sum < /run/secrets/token\n"
        f'RUN {AS_VARIABLE} printf %s "$TOKEN" | sha256sum\n'
    )
    log = build(client, fresh(BASE + steps), {"token": value}).log

    digest = hashlib.sha256(value).hexdigest()
    assert sum(digest in line for line in log) == 2


@pytest.mark.parametrize("mount", [AS_FILE, AS_VARIABLE])
def test_another_value_runs_the_step_that_uses_it_and_what_follows(
    client: Client, mount: str
) -> None:
    dockerfile = fresh(
        f"{BASE}RUN echo ran-before\nRUN {mount} echo ran-uses\nRUN echo ran-after\n"
    )
    values = (b"one", b"one", b"two", b"one", b"two")

    ran = [build(client, dockerfile, {"token": value}).ran for value in values]

    assert ran == [{"before", "uses", "after"}, set(), {"uses", "after"}, set(), set()]


def test_another_value_leaves_other_stages_and_other_secrets_alone(client: Client) -> None:
    dockerfile = fresh(
        f"{BASE.strip()} AS one\nRUN {AS_FILE} echo ran-one && echo 1 > /f\n"
        f"{BASE.strip()} AS two\nRUN --mount=type=secret,id=other echo ran-two && echo 2 > /f\n"
        f"{BASE.strip()} AS three\nRUN echo ran-three && echo 3 > /f\n"
        f"{BASE}COPY --from=one /f /1\nCOPY --from=two /f /2\nCOPY --from=three /f /3\n"
    )
    secrets = {"token": b"one", "other": b"one"}

    first = build(client, dockerfile, secrets)
    second = build(client, dockerfile, {**secrets, "token": b"two"})
    third = build(client, dockerfile, {**secrets, "other": b"two"})

    assert [each.ran for each in (first, second, third)] == [
        {"one", "two", "three"},
        {"one"},
        {"two"},
    ]


def test_a_secret_more_changes_nothing_for_steps_that_do_not_use_it(client: Client) -> None:
    dockerfile = fresh(f"{BASE}RUN {AS_FILE} echo ran-uses\n")
    build(client, dockerfile, {"token": b"one"})

    assert build(client, dockerfile, {"token": b"one", "unused": b"two"}).ran == set()


def test_a_step_that_an_image_brings_runs_again_too(client: Client, mirror: str) -> None:
    base = f"{mirror}/secrets/onbuild:{uuid.uuid4().hex}"
    onbuild = fresh(f"{BASE}ONBUILD RUN {AS_FILE} echo ran-onbuild\n")
    assert build(client, onbuild, {}, name=base).error is None

    ran = [
        build(client, f"FROM {base}\n", {"token": value}).ran for value in (b"one", b"one", b"two")
    ]

    assert ran == [{"onbuild"}, set(), {"onbuild"}]


def test_builds_side_by_side_see_their_own_values(client: Client) -> None:
    dockerfile = fresh(f"{BASE}RUN {AS_FILE} sleep 1; sha256sum < /run/secrets/token\n")
    values = [b"one", b"two", b"three"]
    with ThreadPoolExecutor(len(values)) as threads:
        builds = list(
            threads.map(lambda value: build(client, dockerfile, {"token": value}), values)
        )

    digests = [hashlib.sha256(value).hexdigest() for value in values]
    for each, digest in zip(builds, digests, strict=True):
        assert [found for found in digests if any(found in line for line in each.log)] == [digest]


def test_a_secret_that_is_required_and_missing_fails_its_step(client: Client) -> None:
    dockerfile = f"{BASE}\nRUN {AS_FILE},required=true cat /run/secrets/token\n"

    error = build(client, dockerfile, {"other": b"value"}).error

    assert isinstance(error, SolveFailed)
    assert "secret token: not found" in str(error)
    assert error.failed_step
    assert (error.failed_step.file, error.failed_step.line) == ("Dockerfile", 3)


def test_an_optional_secret_may_be_missing_and_is_used_once_it_is_there(client: Client) -> None:
    step = f"RUN {AS_FILE} test -e /run/secrets/token && echo ran-with || echo ran-without\n"
    dockerfile = fresh(BASE + step)

    without = build(client, dockerfile, {"other": b"value"})
    given = build(client, dockerfile, {"token": b"value"})

    assert (without.ran, without.error) == ({"without"}, None)
    assert (given.ran, given.error) == ({"with"}, None)


@pytest.mark.parametrize("platforms", ["linux/amd64", "linux/amd64,linux/arm64"])
def test_every_platform_has_its_steps(client: Client, mirror: str, platforms: str) -> None:
    name = f"{mirror}/secrets/platforms:{uuid.uuid4().hex}"
    dockerfile = fresh(
        "FROM --platform=$BUILDPLATFORM debian:trixie-slim AS build\n"
        f"ARG TARGETARCH\nRUN {AS_FILE} echo ran-$TARGETARCH && echo $TARGETARCH > /architecture\n"
        "FROM scratch\nCOPY --from=build /architecture /\n"
    )
    architectures = {each.partition("/")[2] for each in platforms.split(",")}

    builds = [
        build(client, dockerfile, {"token": value}, name=name, platform=platforms)
        for value in (b"one", b"one", b"two")
    ]

    assert [each.error for each in builds] == [None] * 3
    assert [each.ran for each in builds] == [architectures, set(), architectures]
    repository, _, tag = name.removeprefix(f"{mirror}/").partition(":")
    for architecture in architectures:
        config = RegistryClient(mirror).image(repository, tag, architecture).config
        assert json.loads(config)["architecture"] == architecture


def test_a_stage_can_be_built_alone(client: Client) -> None:
    dockerfile = fresh(
        f"{BASE.strip()} AS test\nRUN {AS_FILE} echo ran-test\n{BASE}RUN echo ran-ship\n"
    )

    assert build(client, dockerfile, {"token": b"one"}, target="test").ran == {"test"}


@pytest.mark.parametrize(
    ("steps", "line"),
    [
        pytest.param(f"RUN {AS_FILE} true\n\nRUN exit 7\n", 4, id="after a step with a secret"),
        pytest.param(f"\nRUN {AS_FILE} \\\n  exit 7\n", 3, id="the step with the secret"),
        pytest.param(f"RUN {AS_FILE} true\nCOPY missing /\n", 3, id="a file that is missing"),
        pytest.param(f"RUN {AS_FILE} true\nCMD [\n\nRUM exit\n", 5, id="an unknown instruction"),
    ],
)
def test_a_failure_names_its_line_as_it_does_without_secrets(
    client: Client, steps: str, line: int
) -> None:
    errors = [
        build(client, BASE + steps, {"token": b"value"}, through_gateway=gateway).error
        for gateway in (True, False)
    ]

    for error in errors:
        assert isinstance(error, SolveFailed)
        assert error.failed_step
        assert error.failed_step.line == line
    assert str(errors[0]) == str(errors[1])


def test_the_log_is_as_it_is_without_secrets(client: Client) -> None:
    dockerfile = (
        "from debian:trixie-slim as one\n"  # which the linter warns about
        f"RUN {AS_FILE} echo ran-one\nRUN echo ran-two && date > /f\n"
        f"{BASE}COPY --from=one /f /\nRUN {AS_VARIABLE} echo ran-three\n"
    )
    runs = [
        build(client, fresh(dockerfile), {"token": b"value"}, through_gateway=gateway)
        for gateway in (True, False)
    ]
    through, plain = (
        sorted(re.sub(r"[0-9a-f]{32}", "", step) for step in run.steps) for run in runs
    )
    warnings = [sum(" WARN: " in line for line in run.log) for run in runs]

    assert through == plain
    assert runs[0].ran == runs[1].ran
    assert warnings[0] == warnings[1] > 0


def test_an_image_holds_neither_secret_nor_its_id(client: Client, mirror: str) -> None:
    name = f"{mirror}/secrets/config:{uuid.uuid4().hex}"
    secrets = {"token": b"a value of this test"}
    built = build(client, fresh(f"{BASE}RUN {AS_FILE} true\n"), secrets, name=name)

    repository, _, tag = name.removeprefix(f"{mirror}/").partition(":")
    image = RegistryClient(mirror).image(repository, tag, "amd64")
    assert built.digest == image.digest
    assert secrets["token"] not in image.config
    assert keyed(secrets, KEY).ids["token"].encode() not in image.config
    assert keyed(secrets, KEY).ids["token"] not in "".join(built.log)


class Unanswered:
    """A call from the daemon that never gets its response."""

    done = False

    def __init__(self) -> None:
        self.asked = threading.Event()

    def receive(self, _message: bytes) -> None:
        pass

    def send(self, _limit: int) -> list[bytes]:
        self.asked.set()
        return []


def test_a_daemon_that_falls_silent_under_the_gateway_is_found(
    start_daemon: Callable[..., Buildkitd],
) -> None:
    daemon = start_daemon()
    client = Client(daemon.address, None, patience=PATIENCE)
    call = Unanswered()
    spec = SolveSpec(ref=uuid.uuid4().hex, secret_ids={"token": "token@5ta"})
    # The frontend cannot make its graph without the Dockerfile.
    solve = client.solve(spec, {DIFF_COPY: lambda _headers: call}, shared_key=once())
    try:
        assert call.asked.wait(PATIENCE)
        daemon.pause()
        with pytest.raises(DaemonUnavailable, match="has not answered"):
            for _ in solve:
                pass
    finally:
        solve.close()
        daemon.kill()
