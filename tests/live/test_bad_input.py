"""Requests that never come to a build. There is no daemon here: none is asked before all is judged."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from backports import zstd
from stack.daemons import ports

from ..tar_members import (
    CONFIG_NAME,
    config,
    directory,
    file,
    hard_link,
    pax,
    request,
    symlink,
    tar,
)
from .caller import NDJSON, Answer, connect, get, post, signature

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .conftest import StartFunction

MIB = 1 << 20
MAX_BODY, MAX_CONTEXT = 4 * MIB, 16 * MIB

CONTEXT = (directory("context"), file("context/Dockerfile", b"FROM scratch\n"))
GOOD = tar(config(), *CONTEXT)


@dataclass(frozen=True, kw_only=True)
class Bad:
    """A request, and what must be said about it."""

    status: int
    reason: str
    words: tuple[str, ...]
    body: bytes = GOOD
    signatures: tuple[str, ...] | None = None  # the right one


def unsigned(words: str, *signatures: str) -> Bad:
    return Bad(status=401, reason="bad_signature", words=(words,), signatures=signatures)


def archive(body: bytes, *words: str) -> Bad:
    return Bad(status=400, reason="bad_archive", words=words, body=body)


def configured(*words: str, **options: object) -> Bad:
    document = json.dumps({"image": "registry.example.com/fn:1"} | options).encode()
    return config_document(document, *words)


def config_document(document: bytes, *words: str) -> Bad:
    body = tar(file(CONFIG_NAME, document), *CONTEXT)
    return Bad(status=400, reason="bad_config", words=words, body=body)


def image(name: str, *words: str) -> Bad:
    return configured("image name", *words, image=name)


def large(body: bytes, *words: str) -> Bad:
    return Bad(status=413, reason="too_large", words=words, body=body)


def sparse(size: int, said: str, name: str = "context/holes") -> bytes:
    """Store a file as GNU tar does with --sparse-version=0.1."""
    records: dict[str, str | bytes] = {"GNU.sparse.map": said, "GNU.sparse.size": str(size)}
    return request(pax(records), file(name, b"x"))


def million_entries() -> bytes:
    """Compress a million of the same few members again and again."""
    members = b"".join(bytes(file(f"context/{number}")) for number in range(1000))
    compressor = zstd.ZstdCompressor()
    head = b"".join(map(bytes, (config(), *CONTEXT)))
    pieces = [compressor.compress(head)]
    pieces += [compressor.compress(members) for _ in range(1000)]
    return b"".join(pieces) + compressor.flush()


RIGHT = signature(GOOD)
WRONG = "sha256=" + "0" * 64

BAD = {
    "no signature": unsigned("not signed"),
    "empty signature": unsigned("not signed", ""),
    "wrong signature": unsigned("does not match the body", WRONG),
    "signed with another secret": unsigned("does not match", signature(GOOD, b"another")),
    "signature of another body": unsigned("does not match", signature(GOOD + b"\0")),
    "signature without its scheme": unsigned("malformed", RIGHT.removeprefix("sha256=")),
    "signature of another scheme": unsigned("malformed", "sha1=" + "0" * 40),
    "short signature": unsigned("malformed", RIGHT[:-1]),
    "signature sent twice": unsigned("was sent 2 times", RIGHT, RIGHT),
    "signatures joined by a proxy": unsigned("was sent 2 times", f"{RIGHT}, {WRONG}"),
    "empty body": archive(b"", "The body is empty"),
    "not a tar": archive(b"Hello, world. " * 100, "not a tar archive"),
    "shorter than a header": archive(b"PK\3\4", "not a tar archive"),
    "truncated in a file": archive(request(file("context/a", bytes(4096)))[:-4608], "cut short"),
    "truncated gzip": archive(gzip.compress(GOOD)[:-20], "gzip", "cut short"),
    "truncated zstd": archive(zstd.compress(GOOD)[:-4], "zstd", "cut short"),
    "damaged gzip": archive(gzip.compress(GOOD)[:-8] + bytes(8), "gzip", "damaged"),
    "no config": archive(tar(*CONTEXT), f"no {CONFIG_NAME}"),
    "no context": archive(tar(config()), "no context/"),
    "no Dockerfile": archive(tar(config(), file("context/a")), "no Dockerfile"),
    "a second config": archive(tar(config(), config(), *CONTEXT), CONFIG_NAME, "twice"),
    "config is a directory": archive(tar(directory(CONFIG_NAME), *CONTEXT), "must be a regular"),
    "config is a symlink": archive(
        tar(symlink(CONFIG_NAME, "/etc/passwd"), *CONTEXT), "must be a regular file"
    ),
    "leaving the archive": archive(request(file("../outside")), '"../outside"', '".."'),
    "leaving the context": archive(request(file("context/../../x")), "context/../../x", '".."'),
    "NUL in a name": archive(request(pax({"path": b"context/a\0b"}), file("x")), "NUL"),
    "NUL in a link's target": archive(
        request(pax({"linkpath": b"a\0b"}), symlink("context/a", "x")), "NUL"
    ),
    "hard link out of the archive": archive(request(hard_link("context/a", "../a")), '".."'),
    "sparse file that contradicts itself": archive(sparse(9, "0,2"), "sparse"),
    "more holes than the context may have": large(sparse(MAX_CONTEXT + 1, "0,1"), "holes included"),
    "Dockerfile that buildkitd would drown in": large(
        sparse(4 * MIB + 1, "0,1", "context/Dockerfile"),
        '"Dockerfile" in context/ has 4194305 bytes',
    ),
    "file below a file": archive(
        request(file("context/a"), file("context/a/b")), '"a/b" lies below "a"'
    ),
    "negative size": archive(request(file("context/a").but(size=b"\xff" * 12)), "negative size"),
    "config is not JSON": config_document(b'{"image": x}', "not valid JSON", "line 1, column 11"),
    "config is empty": config_document(b"", "not valid JSON"),
    "config is not UTF-8": config_document(b'{"image": "\xff"}', "not UTF-8"),
    "config is an array": config_document(b"[]", "must be a JSON object, not an array"),
    "config nested too deep": config_document(b"[" * 100_000, CONFIG_NAME, "not JSON"),
    "config without an image": config_document(b"{}", 'no "image"'),
    "image of a wrong type": configured("image", "must be a string, not a number", image=1),
    "build argument of a wrong type": configured(
        "buildArgs.A", "must be a string, not a number", buildArgs={"A": 1}
    ),
    "build arguments of a wrong type": configured("buildArgs", "an object", buildArgs="A=1"),
    "platforms of a wrong type": configured("platforms", "an array", platforms="linux/amd64"),
    "unknown platform": configured('"linux"', "no platform", platforms=["linux"]),
    "skipPush of a wrong type": configured("skipPush", "a boolean", skipPush="yes"),
    "image in upper case": image("registry.example.com/Team/App:1", "upper-case", "team/app:1"),
    "image without a name": image("registry.example.com/", "names no repository"),
    "empty image": image("", "is empty"),
    "image of 300 characters": image("r.io/" + "a" * 300, "300 characters", "255"),
    "image with a space": image("r.io/a b:1", '" "'),
    "image with a newline": image("r.io/a\nb:1", r"\n"),
    "image with a shell's characters": image("r.io/$(reboot):1", '"$"'),
    "image with a scheme": image("https://r.io/a:1", "has a scheme"),
    "image with a digest": image("r.io/a@sha256:" + "0" * 64, "has a digest"),
    "gzip bomb": large(gzip.compress(bytes(4 * MAX_CONTEXT), 6), "unpacks to more than"),
    "zstd bomb": large(zstd.compress(bytes(1 << 30)), "unpacks to more than"),
    "body too large": large(request(file("context/a", bytes(MAX_BODY))), "larger than", "max_body"),
    "config too large": large(tar(file(CONFIG_NAME, b" " * 2 * MIB), *CONTEXT), CONFIG_NAME),
    "too many entries": large(
        request(*(file(f"context/{n}") for n in range(1001))), "1000 entries"
    ),
}


@pytest.fixture(scope="module")
def function(start_function: StartFunction) -> Iterator[str]:
    settings = {
        "max_body_bytes": str(MAX_BODY),
        "max_context_bytes": str(MAX_CONTEXT),
        "max_context_entries": "1000",
    }
    with start_function(f"tcp://127.0.0.1:{ports.free()}", **settings) as started:
        yield started.url


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_is_refused_with_a_sentence(function: str, bad: Bad) -> None:
    answer = send(function, bad)
    assert (answer.status, answer.document["reason"]) == (bad.status, bad.reason), answer.document
    assert answer.headers["Content-Type"] == "application/json"
    assert_says(answer, bad)


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_is_refused_in_a_stream_that_is_always_200(function: str, bad: Bad) -> None:
    answer = send(function, bad, accept=NDJSON)
    assert (answer.status, answer.document["reason"]) == (200, bad.reason), answer.document
    assert answer.headers["Content-Type"].startswith(NDJSON)
    assert len(answer.lines) == 1
    assert_says(answer, bad)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/build", 405),
        ("GET", "/", 405),
        ("DELETE", "/build", 405),
        ("POST", "/healthz", 405),
        ("GET", "/nothing", 404),
        ("POST", "/build/more", 404),
        ("POST", "/../etc/passwd", 404),
    ],
)
def test_knows_its_paths_and_methods(function: str, method: str, path: str, status: int) -> None:
    answer = get(function, path, method)
    assert (answer.status, answer.document["status"]) == (status, "failed")
    assert_one_sentence(answer.document["error"])


def test_a_million_entries_are_refused(start_function: StartFunction) -> None:
    body = million_entries()
    with start_function(f"tcp://127.0.0.1:{ports.free()}") as function:
        answer = post(function.url, body, {})
        assert (answer.status, answer.document["reason"]) == (413, "too_large")
        assert "more than 200000 entries" in answer.document["error"]
        assert get(function.url, "/healthz").status == 200


def test_without_a_secret_nothing_is_built(start_function: StartFunction) -> None:
    settings = {"secret_mount_path": "/nonexistent"}
    with start_function(f"tcp://127.0.0.1:{ports.free()}", **settings) as function:
        single = post(function.url, GOOD, {})
        ready = get(function.url, "/ready")
    for answer in (single, ready):
        assert (answer.status, answer.document["reason"]) == (503, "not_ready")
        assert "no payload secret" in answer.document["error"]
        assert "disable_hmac" in answer.document["error"]


def test_without_hmac_no_signature_is_asked_for(start_function: StartFunction) -> None:
    with start_function(f"tcp://127.0.0.1:{ports.free()}", disable_hmac="true") as function:
        answer = post(function.url, b"not a tar", {"X-Build-Signature": None})
    assert (answer.status, answer.document["reason"]) == (400, "bad_archive")


@pytest.mark.parametrize("compress", [gzip.compress, zstd.compress, bytes])
def test_what_is_right_comes_as_far_as_the_daemon(function: str, compress: object) -> None:
    """Prove the table itself: with nothing wrong, it is the daemon that is missed."""
    assert callable(compress)
    answer = post(function, compress(GOOD), {})
    assert (answer.status, answer.document["reason"]) == (503, "buildkitd_unavailable")


def test_what_real_archives_do_is_no_error(function: str) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as made:
        for name, content in (
            ("/context/Dockerfile", b"FROM nothing\n"),
            ("./context/Dockerfile", b"FROM scratch\n"),
            ("./README.md", b"beside the context"),
            ("./" + CONFIG_NAME, b'{"image": "r.io/a:1", "platforms": [""], "labels": {}}'),
        ):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            made.addfile(member, io.BytesIO(content))
        link = tarfile.TarInfo("./context/link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/../../passwd"
        made.addfile(link)
    answer = post(function, buffer.getvalue(), {})
    assert (answer.status, answer.document["reason"]) == (503, "buildkitd_unavailable")


def send(url: str, bad: Bad, accept: str = "*/*") -> Answer:
    signatures = (signature(bad.body),) if bad.signatures is None else bad.signatures
    with closing(connect(url)) as connection:
        connection.putrequest("POST", "/build")
        connection.putheader("Content-Length", str(len(bad.body)))
        connection.putheader("Accept", accept)
        for value in signatures:
            connection.putheader("X-Build-Signature", value)
        connection.endheaders(bad.body)
        with connection.getresponse() as response:
            return Answer(response.status, dict(response.getheaders()), response.read())


def assert_says(answer: Answer, bad: Bad) -> None:
    document = answer.document
    assert document["status"] == "failed"
    assert document["log"] == []
    for words in bad.words:
        assert words in document["error"]
    assert_one_sentence(document["error"])


def assert_one_sentence(error: str) -> None:
    assert error.endswith(".")
    assert error.isprintable()
    assert len(error) < 600
    assert "Traceback" not in error
