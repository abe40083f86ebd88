from __future__ import annotations

import gc
import gzip
import json
import tracemalloc
import weakref
from contextlib import suppress

import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from function.errors import ArchiveError, BodyTooLarge, BuilderError, ConfigError
from function.request.archive import Limits
from function.request.bundle import Bundle, unpack
from function.request.memory import Memory

from ..tar_members import CONFIG_NAME, Header, config, file, request, tar


def _plain(body: bytes) -> bytes:
    return body


@pytest.mark.parametrize("compress", [_plain, gzip.compress, zstd.compress])
def test_unpacks_a_request_however_it_is_compressed(compress: object) -> None:
    body = request(file("context/sub/x", b"data"))

    found = unpack(memoryview(compress(body)), Limits())  # type: ignore[operator]

    assert found.config.image.domain == "registry.example.com"
    assert [entry.path for entry in found.context.entries] == ["Dockerfile", "sub", "sub/x"]
    assert found.context.entries[-1].data == b"data"
    assert found.sealed_secrets is None


def test_the_context_of_a_nested_request_is_where_its_dockerfile_is() -> None:
    body = tar(config(), file("context/fn/Dockerfile"), file("context/fn/handler.py"))

    found = unpack(memoryview(body), Limits())

    assert [entry.path for entry in found.context.entries] == ["Dockerfile", "handler.py"]


def test_hands_on_the_secrets_sealed() -> None:
    body = request(file("com.openfaas.secrets", b"version: v1"))

    assert unpack(memoryview(body), Limits()).sealed_secrets == b"version: v1"


@pytest.mark.parametrize("piece", [b"[]", b"{}", b'{"":1}', b"0.1", b'"ab"'])
@pytest.mark.parametrize("name", [CONFIG_NAME, "context/builder-fn.json"])
def test_the_memory_for_what_a_document_says_is_asked_for(name: str, piece: bytes) -> None:
    document = b'{"image": "x/y", "x": [' + b",".join([piece] * (200_000 // len(piece))) + b"]}"
    members = [file(name, document), file("context/Dockerfile", b"FROM scratch")]
    if name != CONFIG_NAME:
        members.append(config("x/y"))
    body = memoryview(tar(*members))
    asked: list[int] = []

    tracemalloc.start()
    with suppress(BuilderError):
        unpack(body, Limits(), Memory(parsed=asked.append))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < sum(asked) + (1 << 18)


def test_memory_goes_back_with_the_sources_of_a_build() -> None:
    class Share:
        def __call__(self, _size: int) -> None: ...

    share = Share()
    there = weakref.ref(share)
    body = gzip.compress(request())
    found = unpack(memoryview(body), Limits(), Memory(share, share))
    del share

    gc.disable()
    try:
        assert there() is not None
        ended = found.without_sources()
        del found
        assert there() is None
        assert ended.config.image.domain == "registry.example.com"
    finally:
        gc.enable()


def test_a_bundles_size_is_all_that_it_holds() -> None:
    body = gzip.compress(request(*(file(f"context/{at}") for at in range(1000))))
    asked: list[int] = []

    found = unpack(memoryview(body), Limits(), Memory(asked.append, asked.append))

    # A config is parsed and forgotten.
    assert len(body) + sum(asked) * 0.9 < found.size <= len(body) + sum(asked)


def options(**values: object) -> bytes:
    return json.dumps(values).encode()


def unpacked(*members: Header) -> Bundle:
    return unpack(memoryview(request(*members)), Limits())


def test_options_may_be_committed_with_the_template_or_the_function() -> None:
    found = unpacked(
        file("context/builder-fn.json", options(target="ship", pull=True)),
        file("context/function/builder-fn.json", options(target="test")),
    )

    assert (found.config.target, found.config.pull) == ("test", True)


def test_the_file_of_options_is_in_the_context_all_the_same() -> None:
    found = unpacked(file("context/builder-fn.json", b"{}"))

    assert "builder-fn.json" in [entry.path for entry in found.context.entries]


def test_a_nested_context_has_its_options_too() -> None:
    body = tar(
        config(),
        file("context/fn/Dockerfile"),
        file("context/fn/builder-fn.json", b'{"pull":true}'),
    )

    assert unpack(memoryview(body), Limits()).config.pull


def test_options_may_name_the_dockerfile_there_is() -> None:
    body = tar(
        config(),
        file("context/fn/docker/prod"),
        file("context/fn/builder-fn.json", options(dockerfile="./docker/prod")),
    )

    found = unpack(memoryview(body), Limits())

    assert found.config.dockerfile == "docker/prod"
    assert [entry.path for entry in found.context.entries][-1] == "docker/prod"


def test_a_dockerfile_that_options_name_must_be_there() -> None:
    with pytest.raises(ArchiveError, match="no docker/prod in context/"):
        unpacked(file("context/builder-fn.json", options(dockerfile="docker/prod")))


def test_faults_of_options_are_told_with_their_file() -> None:
    with pytest.raises(
        ConfigError, match=r"pull in context/function/builder-fn\.json must be a bool"
    ):
        unpacked(file("context/function/builder-fn.json", options(pull=1)))


def test_options_are_a_regular_file() -> None:
    with pytest.raises(
        ArchiveError, match=r"builder-fn\.json is a directory; it must be a regular"
    ):
        unpacked(file("context/builder-fn.json/x"))


def test_options_have_a_size_that_people_write() -> None:
    body = request(file("context/builder-fn.json", bytes(2000)))

    with pytest.raises(BodyTooLarge, match=r"builder-fn\.json has 2000 bytes; 1000 are the most"):
        unpack(memoryview(body), Limits(document_bytes=1000))


def test_rejects_a_request_without_a_dockerfile() -> None:
    with pytest.raises(ArchiveError, match="no Dockerfile in context/"):
        unpack(memoryview(tar(config(), file("context/handler.py"))), Limits())


def test_a_bomb_is_too_large_rather_than_unpacked() -> None:
    bomb = gzip.compress(request(file("context/zeros", bytes(8 << 20))))

    with pytest.raises(BodyTooLarge, match="unpacks to more than 1048576 bytes"):
        unpack(memoryview(bomb), Limits(context_bytes=1 << 20))


@given(st.binary(max_size=600))
def test_arbitrary_bodies_raise_only_our_own_errors(body: bytes) -> None:
    with suppress(BuilderError):
        unpack(memoryview(body), Limits())


def test_an_options_file_that_cannot_be_sent_is_refused_at_once() -> None:
    body = request(Header(name="context/builder-fn.json", type=b"1", link="nowhere"))

    with pytest.raises(ArchiveError, match="is a hard link to"):
        unpack(memoryview(body), Limits())


@pytest.mark.parametrize("kind", [b"3", b"6"])
def test_an_options_file_that_is_no_file_is_refused_by_its_kind(kind: bytes) -> None:
    body = request(Header(name="context/builder-fn.json", type=kind))

    with pytest.raises(
        ArchiveError, match=r"builder-fn\.json.* is a (character device|named pipe)"
    ):
        unpack(memoryview(body), Limits())
