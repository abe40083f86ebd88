"""What one tenant can do to another on the daemon that both use: attacks that succeed where it is shared."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from secrets import token_hex
from typing import TYPE_CHECKING

import pytest
from stack.daemons.registry import Credentials

from .caller import Request, assert_built, build
from .claiming_registry import claiming
from .gate import Gate
from .tenancy import ACME, BETA, build_as, of, sealed, serving_tenants, tenants_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from stack.daemons.buildkitd import Buildkitd
    from stack.daemons.registry import Registry
    from stack.machine import Machine

    from .caller import Answer
    from .conftest import StartFunction

# As build_secrets/opened.py knows a request's own credentials.
REGISTRY_AUTH = "com.openfaas.registry.auth"
FROM = "FROM debian:trixie-slim\n"
OWNER = Credentials(username="owner", password="right: a p@ssword")


@pytest.fixture(params=["isolated", "shared"])
def cache(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def url(
    start_function: StartFunction, machine: Machine, shared_daemon: str, cache: str
) -> Iterator[str]:
    document = tenants_file(cache=cache)
    with serving_tenants(start_function, machine, shared_daemon, document) as started:
        yield started


def printed(answer: Answer, text: str) -> bool:
    """Tell whether a step ended a line with *text*."""
    assert_built(answer)
    return any(entry.endswith(f" {text}") for entry in answer.document["log"])


def test_a_tenant_is_served_no_step_that_another_ran(url: str, cache: str) -> None:
    mark = token_hex(8)
    request = of(f"{FROM}RUN echo said-{mark}\n")

    hits = []
    for key in (ACME, ACME, BETA, BETA):
        answer = build_as(key, url, request)
        assert_built(answer)
        hits.append(answer.document["cacheHits"])

    assert hits == ([0, 1, 0, 1] if cache == "isolated" else [0, 1, 1, 1])


def test_a_tenant_sees_nothing_that_another_left_in_a_cache_mount(url: str, cache: str) -> None:
    mark = token_hex(8)
    mount = f"RUN --mount=type=cache,target=/kept-{mark}"
    leaves = of(f"{FROM}{mount} echo poison > /kept-{mark}/file\n")

    def finds(key: bytes) -> bool:
        looks = f"{FROM}{mount} echo {token_hex(8)} found:$(cat /kept-{mark}/file 2>/dev/null)\n"
        return printed(build_as(key, url, of(looks)), "found:poison")

    assert_built(build_as(ACME, url, leaves))

    assert finds(BETA) is (cache == "shared")
    assert finds(ACME)


@pytest.mark.parametrize("name", ["BUILDKIT_SANDBOX_HOSTNAME", "BUILDKIT_CACHE_MOUNT_NS"])
def test_a_build_argument_leads_into_no_other_tenants_cache(
    url: str, cache: str, name: str
) -> None:
    answer = build_as(BETA, url, of(f"{FROM}RUN true\n", buildArgs={name: "anothers"}))

    assert answer.status == (403 if cache == "isolated" else 200)
    in_a_file = of(
        f"{FROM}RUN true\n", {"builder-fn.json": f'{{"buildArgs": {{"{name}": "anothers"}}}}'}
    )
    assert build_as(BETA, url, in_a_file).status == answer.status


LOOKS = "RUN --mount=type=cache,{id}target=/kept-{mark} echo found:$(cat /kept-{mark}/file)\n"
NAMED = LOOKS.replace("{id}", "id=../{name}//kept-{mark},")
UNNAMED = LOOKS.replace("{id}", "")


@pytest.mark.parametrize(
    "dockerfile",
    [
        f"{FROM}{NAMED}",
        f"ARG BUILDKIT_SANDBOX_HOSTNAME={{name}}\nARG BUILDKIT_CACHE_MOUNT_NS={{name}}\n{FROM}{UNNAMED}",
        f"{FROM}ARG BUILDKIT_CACHE_MOUNT_NS={{name}}\nENV BUILDKIT_CACHE_MOUNT_NS={{name}}\n{UNNAMED}",
    ],
    ids=["by a mount's id", "by an argument before FROM", "by one of the stage"],
)
def test_a_dockerfile_leads_into_no_other_tenants_cache(
    start_function: StartFunction, machine: Machine, shared_daemon: str, dockerfile: str
) -> None:
    mark = token_hex(8)
    leaves = (
        f"{FROM}RUN --mount=type=cache,target=/kept-{mark} "
        f"echo poison > /kept-{mark}/file; echo name:$(hostname)\n"
    )
    with serving_tenants(start_function, machine, shared_daemon, tenants_file()) as url:
        told = build_as(ACME, url, of(leaves))
        assert_built(told)
        name = next(
            entry.partition("name:")[2]
            for entry in told.document["log"]
            if " name:" in entry and "hostname" not in entry
        )
        answer = build_as(BETA, url, of(dockerfile.format(name=name, mark=mark)))

    assert_built(answer)
    assert printed(answer, "found:")


def test_a_tenants_name_stands_in_no_step_and_in_no_image(
    start_function: StartFunction, machine: Machine, shared_daemon: str, mirror: str
) -> None:
    epoch = {"buildArgs": {"SOURCE_DATE_EPOCH": "1"}}
    digests = set()
    for document in (tenants_file(), tenants_file(cache="shared")):
        with serving_tenants(start_function, machine, shared_daemon, document) as url:
            for key in (ACME, BETA):
                dockerfile = f"{FROM}RUN hostname | grep -v -e acme -e beta; echo a > /a\n"
                answer = build_as(
                    key, url, Request({"Dockerfile": dockerfile}, f"{mirror}/isolation:1", epoch)
                )
                assert_built(answer)
                digests.add(answer.document["digest"])

    assert len(digests) == 1


def test_sources_under_a_shared_key_are_the_tenants_own(url: str) -> None:
    image, mark = f"unused/{token_hex(4)}:1", token_hex(8)
    files = {"Dockerfile": "FROM scratch\nCOPY a /\n", "a": mark}

    def sent(key: bytes) -> bool:
        answer = build_as(key, url, Request(files, image, {"skipPush": True}))
        assert_built(answer)
        return any("transferring context" in entry for entry in answer.document["log"])

    assert sent(ACME)
    assert sent(BETA)


@pytest.fixture
def private(start_registry: Callable[..., Registry], builder: str) -> tuple[str, str, str]:
    """Push an image, and return its private registry, its digest and what is in it."""
    public = start_registry()
    mark = token_hex(8)
    files = {"Dockerfile": f"{FROM}RUN echo {mark} > /private\n"}
    pushed = build(builder, Request(files, f"{public.address}/acme/base:1"))
    assert_built(pushed)
    registry = start_registry(credentials=OWNER, storage=public.storage)
    return registry.address, pushed.document["digest"], mark


def attempts(
    start_function: StartFunction,
    machine: Machine,
    daemon: str,
    private: tuple[str, str, str],
    isolated: str = "",
    *,
    place: str = "acme/**",
    **members: object,
) -> list[Answer]:
    """Have acme use its image, which is in its *place*, and then beta try to read it: by its tag, and by its
    digest.
    """
    registry, digest, _ = private
    auth = {"auths": {registry: {"username": OWNER.username, "password": OWNER.password}}}
    document = tenants_file(
        {"images": [f"{registry}/{place}"], "registryAuth": auth},
        {"images": [f"{registry}/beta/**"]},
        **members,
    )
    if isolated:
        document["tenants"][isolated]["cache"] = "isolated"

    def use(name: str) -> Request:
        return of(f"FROM {registry}/{name}\nRUN cat /private; echo {token_hex(8)}\n")

    with serving_tenants(start_function, machine, daemon, document) as url:
        assert_built(build_as(ACME, url, use("acme/base:1")))
        return [
            build_as(BETA, url, use(name))
            for name in ("acme/base:1", f"acme/base@{digest}", f"acme/base:1@{digest}")
        ]


@pytest.mark.parametrize("place", ["acme/**", "ac*/**", "*/base"])
def test_anothers_private_base_image_is_read_neither_by_tag_nor_by_digest(
    start_function: StartFunction,
    machine: Machine,
    start_daemon: Callable[..., Buildkitd],
    private: tuple[str, str, str],
    place: str,
) -> None:
    daemon = start_daemon(private[0])

    answers = attempts(start_function, machine, daemon.address, private, place=place)

    assert [answer.document["reason"] for answer in answers] == ["policy_refused"] * 3
    assert all(private[2] not in answer.body.decode() for answer in answers)


def test_without_isolation_a_private_base_image_is_read_by_its_digest(
    start_function: StartFunction,
    machine: Machine,
    start_daemon: Callable[..., Buildkitd],
    private: tuple[str, str, str],
) -> None:
    daemon = start_daemon(private[0])

    # Where one of the two is isolated, it is from both.
    for isolated in ("acme", "beta"):
        refused = attempts(
            start_function, machine, daemon.address, private, cache="shared", isolated=isolated
        )
        assert [answer.document["reason"] for answer in refused] == ["policy_refused"] * 3

    by_tag, *by_digest = attempts(start_function, machine, daemon.address, private, cache="shared")

    assert by_tag.document["reason"] == "build_failed"
    assert all(private[2] in answer.body.decode() for answer in by_digest)


@pytest.mark.parametrize("listed", [False, True], ids=["all registries", "listed ones"])
def test_a_registry_of_ones_own_leads_to_an_image_whose_digest_is_known_unless_images_are_listed(
    start_function: StartFunction,
    machine: Machine,
    start_daemon: Callable[..., Buildkitd],
    private: tuple[str, str, str],
    *,
    listed: bool,
) -> None:
    registry, digest, mark = private
    auth = {"auths": {registry: {"username": OWNER.username, "password": OWNER.password}}}
    acme = {"images": [f"{registry}/acme/**"], "registryAuth": auth}
    beta = {"images": [f"{registry}/beta/**"]}
    lists = {"policy": {"images": {"allow": ["docker.io/**", f"{registry}/beta/**"]}}}
    with claiming() as own:
        daemon = start_daemon(registry, own)
        document = tenants_file(acme, {**beta, **(lists if listed else {})})
        with serving_tenants(start_function, machine, daemon.address, document) as url:
            use = "RUN cat /private; echo {}\n".format
            assert_built(
                build_as(ACME, url, of(f"FROM {registry}/acme/base:1\n{use(token_hex(8))}"))
            )
            answer = build_as(BETA, url, of(f"FROM {own}/any@{digest}\n{use(token_hex(8))}"))

    assert (mark in answer.body.decode()) is not listed
    assert answer.status == (403 if listed else 200)


def test_no_tenant_benefits_from_anothers_credentials(
    start_function: StartFunction,
    machine: Machine,
    start_daemon: Callable[..., Buildkitd],
    private: tuple[str, str, str],
) -> None:
    """Where the operator opens the repository to both, the registry still tells them apart."""
    registry = private[0]
    daemon = start_daemon(registry)
    auth = {"auths": {registry: {"username": OWNER.username, "password": OWNER.password}}}
    both = {"images": {"allow": ["**"]}}
    document = tenants_file({"registryAuth": auth, "policy": both}, {"policy": both})
    use = of(f"FROM {registry}/acme/base:1\nRUN cat /private; echo {token_hex(8)}\n")
    push = Request({"Dockerfile": "FROM scratch\nCOPY . /\n"}, f"{registry}/acme/pushed:1")
    mount = Request(
        {"Dockerfile": f"{FROM}RUN echo {token_hex(4)}\n"}, f"{registry}/acme/mounted:1"
    )
    with serving_tenants(start_function, machine, daemon.address, document) as url:
        for request in (use, push, mount):
            assert_built(build_as(ACME, url, request))
            answer = build_as(BETA, url, request)
            assert answer.document["reason"] == "build_failed", answer.document
            assert f"{registry} was given no credentials" in answer.document["error"]
            assert private[2] not in answer.body.decode()


def test_sealed_credentials_are_used_by_their_own_build_alone(
    start_function: StartFunction,
    machine: Machine,
    start_daemon: Callable[..., Buildkitd],
    private: tuple[str, str, str],
) -> None:
    registry = private[0]
    daemon = start_daemon(registry)
    auth = f'{{"auths": {{"{registry}": {{"username": "owner", "password": "{OWNER.password}"}}}}}}'
    both = {"images": {"allow": ["**"]}}
    request = of(f"FROM {registry}/acme/base:1\nRUN cat /private; echo {token_hex(8)}\n")
    document = tenants_file({"policy": both}, {"policy": both})
    with serving_tenants(start_function, machine, daemon.address, document) as url:
        own = build_as(ACME, url, sealed(request, {REGISTRY_AUTH: auth}))
        answer = build_as(BETA, url, request)

    assert_built(own)
    assert answer.document["reason"] == "build_failed"


# perl stands in the base image, and shells know no abstract sockets.
LISTENS = """\
{base}RUN perl -MSocket -e 'socket(S, AF_UNIX, SOCK_STREAM, 0); \
    bind(S, pack("S a*", AF_UNIX, "\\0of-{mark}")) or die $!; listen(S, 1); alarm {seconds}; \
    accept(C, S); print C "a step of acme"'
"""
CONNECTS = """\
{base}RUN perl -MSocket -e 'for (1..{tries}) {{ socket(S, AF_UNIX, SOCK_STREAM, 0); \
    if (connect(S, pack("S a*", AF_UNIX, "\\0of-{mark}"))) {{ print "heard ", <S>, "\\n"; exit }} \
    select(undef, undef, undef, 0.1) }} print "heard nothing\\n"'
"""


@pytest.fixture(params=["default", "none"])
def network(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def url_with_network(
    start_function: StartFunction, machine: Machine, shared_daemon: str, network: str
) -> Iterator[str]:
    document = tenants_file(policy={"network": network})
    with serving_tenants(start_function, machine, shared_daemon, document) as started:
        yield started


def test_steps_of_two_tenants_meet_on_abstract_sockets_unless_they_have_no_network(
    url_with_network: str, network: str
) -> None:
    mark = token_hex(8)
    with ThreadPoolExecutor(1) as threads:
        listening = threads.submit(
            build_as,
            ACME,
            url_with_network,
            of(LISTENS.format(base=FROM, mark=mark, seconds=60 if network == "default" else 5)),
        )
        connects = CONNECTS.format(base=FROM, mark=mark, tries=300 if network == "default" else 10)
        heard = build_as(BETA, url_with_network, of(connects))
        if network == "none":
            # It waits for somebody who cannot come, for as long as its alarm lets it.
            assert listening.result().status == 422
        else:
            assert_built(listening.result())

    assert printed(heard, "heard a step of acme" if network == "default" else "heard nothing")


def test_a_step_reaches_the_daemons_loopback_unless_it_has_no_network(
    url_with_network: str, network: str
) -> None:
    with Gate() as gate, ThreadPoolExecutor(1) as threads:
        answer = threads.submit(
            build_as,
            BETA,
            url_with_network,
            of(f"{FROM}ARG N={token_hex(8)}\nRUN {gate.command}\n"),
        )
        if network == "default":
            gate.open()
        assert answer.result().status == (200 if network == "default" else 422)


def test_a_step_sees_no_process_of_another_tenants_step(
    start_function: StartFunction, machine: Machine, shared_daemon: str
) -> None:
    if not machine.process_sandbox:
        pytest.skip("this kernel allows no process sandbox")
    with (
        serving_tenants(start_function, machine, shared_daemon, tenants_file()) as url,
        Gate() as gate,
        ThreadPoolExecutor(1) as threads,
    ):
        mark = token_hex(8)
        running = threads.submit(
            build_as, ACME, url, of(f"{FROM}ENV MARK={mark}\nRUN {gate.command}\n")
        )
        gate.wait_until_arrived()
        looks = of(f"{FROM}RUN echo found:$(cat /proc/[0-9]*/environ | tr '\\0' ' ')\n")
        found = build_as(BETA, url, looks)
        gate.let_go()
        assert_built(running.result())

    assert_built(found)
    assert mark not in found.body.decode()
