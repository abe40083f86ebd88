"""The daemon's words here are those that buildkitd v0.32.2 really said, of registries made to fail so;
of docker-registry 2.8 where it can, else of a server that gave that one status.
"""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from function.buildkit.failure.registry import explain

HOST = "registry.example:5000"
BLOB = "sha256:391f9615fb3adfe6cccc7e9a4523b34c2f6737cb709f7f2334b1f7718e035e11"
HEAD_MANIFEST = f'failed to do request: Head "https://{HOST}/v2/team/base/manifests/1": '
HEAD_BLOB = f'failed to do request: Head "https://{HOST}/v2/team/app/blobs/{BLOB}": '
STATUS_OF_MANIFEST = (
    f"unexpected status from HEAD request to http://{HOST}/v2/team/base/manifests/1: "
)
STATUS_OF_BLOB = f"unexpected status from HEAD request to http://{HOST}/v2/team/app/blobs/{BLOB}: "
CREDENTIALS = f"ave valid credentials for {HOST} put into the builder's config.json"
TOML = f'in buildkitd.toml, under [registry."{HOST}"].'


def pull(words: str, name: str = f"{HOST}/team/base:1") -> str:
    return explain(f"{name}: failed to resolve source metadata for {name}: {words}")


def push(words: str) -> str:
    return explain(f"failed to push {HOST}/team/app:1: {words}")


# What both a pull and a push may meet: the daemon's words, with REQUEST for what it was about to do.
BOTH = [
    pytest.param(
        "STATUS401 Unauthorized",
        f"{HOST} was given no credentials, or not the right ones. H" + CREDENTIALS,
        id="a wrong password",
    ),
    pytest.param(
        "failed to authorize: failed to fetch oauth token: unauthorized: incorrect username or password",
        f"{HOST} was given no credentials, or not the right ones. H" + CREDENTIALS,
        id="a wrong password at the token server",
    ),
    pytest.param("STATUS403 Forbidden\ndenied", f"or h{CREDENTIALS}", id="forbidden"),
    pytest.param(
        "failed to authorize: failed to fetch oauth token: denied",
        f"or h{CREDENTIALS}",
        id="forbidden by the token server",
    ),
    pytest.param(
        "REQUESTtls: failed to verify certificate: x509: certificate has expired or is not yet valid: "
        "current time 2026-11-21T11:20:17Z is after 2020-01-02T00:00:00Z",
        f"the certificate of {HOST} has expired. Have it renewed.",
        id="an expired certificate",
    ),
    pytest.param(
        "REQUESTtls: failed to verify certificate: x509: certificate has expired or is not yet valid: "
        "current time 2026-11-21T11:20:17Z is before 2030-01-02T00:00:00Z",
        f"the certificate of {HOST} is not valid yet. Check it, and the clock",
        id="a certificate of the future",
    ),
    pytest.param(
        "REQUESTtls: failed to verify certificate: x509: certificate is valid for 127.0.0.2, not 127.0.0.1",
        f"the certificate of {HOST} is for another name.",
        id="a certificate for another host",
    ),
    pytest.param(
        "REQUESTtls: failed to verify certificate: x509: certificate signed by unknown authority",
        f"Have its operator name the authority's certificate as ca {TOML}",
        id="an unknown authority",
    ),
    pytest.param(
        "REQUESThttp: server gave HTTP response to HTTPS client",
        f"{HOST} speaks plain HTTP, not TLS. Have buildkitd's operator allow it with http = true {TOML}",
        id="plain HTTP where TLS was meant",
    ),
    pytest.param(
        "STATUS400 Bad Request",
        f"have buildkitd's operator set http = false {TOML}",
        id="TLS where plain HTTP was meant",
    ),
    pytest.param(
        "REQUESTdial tcp: lookup registry.example on 10.0.0.1:53: no such host",
        f"{HOST} has no address.",
        id="an unknown host",
    ),
    pytest.param(
        "REQUESTdial tcp: lookup registry.example on 10.0.0.1:53: read udp 10.0.0.2:1->10.0.0.1:53: "
        "i/o timeout",
        f"{HOST} has no address.",
        id="a name server that is silent",
    ),
    pytest.param(
        "REQUESTdial tcp 10.0.0.1:5000: connect: connection refused",
        f"nothing listens at {HOST}.",
        id="nothing listens",
    ),
    pytest.param(
        "REQUESTdial tcp 10.0.0.1:5000: connect: no route to host",
        f"{HOST} is out of reach.",
        id="no way there",
    ),
    pytest.param(
        "REQUESTdial tcp 10.0.0.1:5000: i/o timeout",
        f"{HOST} did not answer in time.",
        id="silence",
    ),
    pytest.param(
        "REQUESTnet/http: TLS handshake timeout",
        f"{HOST} did not answer in time.",
        id="silence after the connection",
    ),
    pytest.param(
        "STATUS429 Too Many Requests", f"{HOST} has had too many requests.", id="too many requests"
    ),
    pytest.param(
        "STATUS503 Service Unavailable", f"{HOST} had an error of its own.", id="a server's error"
    ),
    pytest.param("REQUESTEOF", f"{HOST} broke off the connection.", id="a connection broken off"),
]


@pytest.mark.parametrize(("words", "said"), BOTH)
def test_a_pull_that_failed_names_the_image_and_the_remedy(words: str, said: str) -> None:
    sentence = pull(words.replace("REQUEST", HEAD_MANIFEST).replace("STATUS", STATUS_OF_MANIFEST))

    assert sentence.startswith(f"The base image {HOST}/team/base:1 cannot be pulled: ")
    assert said in sentence


@pytest.mark.parametrize(("words", "said"), BOTH)
def test_a_push_that_failed_names_the_repository_and_the_remedy(words: str, said: str) -> None:
    sentence = push(words.replace("REQUEST", HEAD_BLOB).replace("STATUS", STATUS_OF_BLOB))

    assert sentence.startswith(f"The image cannot be pushed to {HOST}/team/app: ")
    assert said in sentence


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(f"{HOST}/team/base:1: not found", f"{HOST} has no team/base:1.", id="no such image"),
        pytest.param(
            "no match for platform in manifest: not found",
            f"{HOST} has it for other platforms only.",
            id="an image of other platforms",
        ),
        pytest.param(
            "pull access denied, repository does not exist or may require authorization: server message: "
            "insufficient_scope: authorization failed",
            f"{HOST} does not let the builder pull team/base, if there is such a repository.",
            id="no right to pull",
        ),
    ],
)  # fmt: skip
def test_a_base_image_that_cannot_be_had(words: str, said: str) -> None:
    assert said in pull(words)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(
            "push access denied, repository does not exist or may require authorization: server message: "
            "insufficient_scope: authorization failed",
            f"{HOST} does not let the builder push to team/app, if there is such a repository.",
            id="no right to push",
        ),
        pytest.param("denied", f"{HOST} does not let the builder push to team/app", id="denied"),
        pytest.param(
            f"unexpected status from POST request to http://{HOST}/v2/team/app/blobs/uploads/: 405 Method "
            "Not Allowed: Method not allowed\n",
            f"{HOST} is read-only.",
            id="read-only",
        ),
        pytest.param("unsupported: The operation is unsupported.", f"{HOST} is read-only.", id="v3"),
        pytest.param(
            "unknown: repository name not known to registry",
            f"{HOST} has no place for team/app.",
            id="no such repository",
        ),
        pytest.param(
            f"{STATUS_OF_BLOB}413 Request Entity Too Large", f"a layer is larger than {HOST} takes.",
            id="too large",
        ),
        pytest.param(
            "denied: adding 3.5 MiB of storage resource, which when updated to the current usage of "
            "1.1 GiB will exceed the configured upper limit of 1.0 GiB.",
            f"the quota of team/app at {HOST} is used up.",
            id="a quota",
        ),
        pytest.param(
            "toomanyrequests: Rate exceeded", f"{HOST} has had too many requests.", id="a rate",
        ),
    ],
)  # fmt: skip
def test_a_push_that_is_turned_down(words: str, said: str) -> None:
    assert said in push(words)


STATUS_OF_TAG = f"unexpected status from PUT request to http://{HOST}/v2/team/app/manifests/1: "


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(
            "unknown: The image tag '1' already exists in the 'team/app' repository and cannot be "
            "overwritten because the tag is immutable.",
            "does not let team/app:1 be changed",
            id="ECR: TAG_INVALID",
        ),
        pytest.param(
            "unknown: Failed to process request due to 'app:1' configured as immutable.",
            "does not let team/app:1 be changed",
            id="Harbor: 412",
        ),
        pytest.param(
            f"{STATUS_OF_TAG}400 Bad Request: Repository does not allow updating assets: docker-hosted",
            "does not let team/app:1 be changed",
            id="Nexus: 400",
        ),
        pytest.param(
            "unknown: cannot update tag 1. The repository has enabled tag immutability",
            "does not let team/app:1 be changed",
            id="Artifact Registry",
        ),
        pytest.param(
            "manifest invalid: manifest invalid", "does not take the image's manifest", id="manifest"
        ),
        pytest.param("unknown: manifest invalid", "does not take the image's manifest", id="400 so"),
        pytest.param("unknown: unknown error", "had an error of its own", id="500 UNKNOWN"),
        pytest.param("unknown", "had an error of its own", id="500 UNKNOWN with its usual words"),
        pytest.param("unavailable: service unavailable", "had an error of its own", id="UNAVAILABLE"),
        pytest.param(f"{STATUS_OF_TAG}503 Service Unavailable", "had an error of its own", id="503"),
        pytest.param(f"{STATUS_OF_TAG}503", "had an error of its own", id="503 without words"),
        pytest.param(
            f"{STATUS_OF_BLOB}500 Internal Server Error: write blob: no space left on device",
            f"the disk of {HOST} is full",
            id="a full disk",
        ),
        pytest.param(
            "unknown: filesystem: mkdir: read-only file system", "cannot write to its storage", id="a disk"
        ),
        pytest.param(
            "unknown: filesystem: mkdir: permission denied", "cannot write to its storage", id="its rights"
        ),
        pytest.param(
            f"{STATUS_OF_TAG}400 Bad Request: the label x is required", "says: the label x is required",
            id="a rule of its own",
        ),
        pytest.param("unknown: come back on Monday", "says: come back on Monday", id="its own words"),
    ],
)  # fmt: skip
def test_a_registrys_answer_has_the_sentence_that_fits(words: str, said: str) -> None:
    sentence = push(words)

    assert said in sentence
    assert "has no place" not in sentence
    assert "TLS" not in sentence


def test_docker_hubs_own_names_do_not_displace_the_one_that_users_know() -> None:
    sentence = pull(
        "failed to authorize: failed to fetch anonymous token: Get "
        '"https://auth.docker.io/token?scope=repository%3Alibrary%2Fdebian%3Apull&service=a": '
        "dial tcp: lookup auth.docker.io on 10.0.0.1:53: no such host",
        "docker.io/library/debian:13",
    )

    assert sentence == (
        "The base image docker.io/library/debian:13 cannot be pulled: auth.docker.io (for docker.io) has no "
        "address. Check how it is written, and buildkitd's name server."
    )


def test_a_mirror_is_named_beside_the_registry_it_answers_for() -> None:
    sentence = pull(
        'failed to do request: Head "https://mirror:5000/v2/library/debian/manifests/13?ns=docker.io": '
        "tls: failed to verify certificate: x509: certificate signed by unknown authority",
        "docker.io/library/debian:13",
    )

    assert "mirror:5000 (for docker.io)" in sentence
    assert '[registry."mirror:5000"]' in sentence


def test_an_image_by_digest_is_named_by_it() -> None:
    name = f"{HOST}/base@{BLOB}"

    assert f"{HOST} has no base@{BLOB}." in pull(f"{name}: not found", name)


def test_a_frontend_is_a_base_image_too() -> None:
    name = "docker.io/docker/dockerfile:99"
    message = f"failed to resolve source metadata for {name}: {name}: not found"

    assert "docker.io has no docker/dockerfile:99, or " in explain(message)


def test_where_a_mirror_may_have_answered_for_the_registry_that_is_said() -> None:
    """The daemon's message is the same if docker.io was out of reach, and its mirror had no such image."""
    name = "docker.io/library/x:1"

    assert pull(f"{name}: not found", name) == (
        "The base image docker.io/library/x:1 cannot be pulled: docker.io has no library/x:1, or a mirror of "
        "docker.io has none and docker.io is out of reach. Check the name."
    )


@pytest.mark.parametrize(
    "beginning", ["failed to compute cache key: ", f"failed to push {HOST}/x:1: "]
)
def test_a_layer_that_is_gone_is_the_fault_of_its_own_registry(beginning: str) -> None:
    message = (
        f"{beginning}failed to copy: httpReadSeeker: failed open: could not fetch content descriptor "
        f"{BLOB} (application/vnd.oci.image.layer.v1.tar+gzip) from remote: not found"
    )

    assert explain(message, "[1/2] FROM other.example/base:1@sha256:0").startswith(
        "The base image other.example/base:1@sha256:0 cannot be pulled: other.example no longer has"
    )
    assert explain(message, "exporting to image").startswith(
        "A base image cannot be pulled: its registry no longer has one of its layers."
    )


def test_a_layers_registry_is_found_in_its_url() -> None:
    message = (
        "failed to compute cache key: failed to copy: httpReadSeeker: failed open: failed to do request: "
        f'Get "https://other.example/v2/team/base/blobs/{BLOB}": dial tcp 10.0.0.1:443: connect: '
        "connection refused"
    )

    assert explain(message, "[2/2] RUN true") == (
        "The base image other.example/team/base cannot be pulled: nothing listens at other.example. Check "
        "the port, and that the registry is running."
    )


@pytest.mark.parametrize(
    "word", ["denied", "unauthorized", "quota", "unknown", "rate-limit", "eof"]
)
def test_a_word_in_a_name_is_no_reason(word: str) -> None:
    name = f"{word}.example/{word}/{word}:{word}"
    words = (
        f"unexpected status from HEAD request to http://{word}.example/v2/{word}/manifests/{word}: "
        "500 Internal Server Error"
    )

    assert f"{word}.example had an error of its own." in pull(words, name)


@pytest.mark.parametrize(
    "message",
    [
        'process "/bin/sh -c echo failed to push a/b:1: denied" did not complete successfully: exit code: 1',
        'failed to compute cache key: failed to calculate checksum of ref a::b: "/nofile": not found',
        "dockerfile parse error on line 1: unknown instruction: FRM",
        f"failed to push {HOST}/team/app:1: something that nobody has seen yet",
        "",
    ],
)
def test_nothing_is_explained_that_no_registry_is_known_to_have_said(message: str) -> None:
    assert explain(message) == ""


@given(st.text(), st.text())
def test_any_words_of_a_registry_are_survived(words: str, step: str) -> None:
    for sentence in (pull(words), push(words), explain(words, step)):
        assert "\x00" not in sentence


@pytest.mark.parametrize(
    "piece", ["a", "/", "a/", ": ", "failed to x: ", "https://", "[", "exceed "]
)
def test_an_endless_message_takes_no_time(piece: str) -> None:
    started = time.thread_time()
    for beginning in ("", "failed to push a/b:1: ", "failed to copy: httpReadSeeker: "):
        explain(beginning + piece * 1_000_000, piece * 1_000)
    assert time.thread_time() - started < 30  # quadratic time would be hours
