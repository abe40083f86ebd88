"""The addresses of a function behind a gateway, and what its queue takes."""

from __future__ import annotations

import pytest
from build_client.errors import UsageError
from build_client.protocol import gateway
from hypothesis import given
from hypothesis import strategies as st

segments = st.text("abz-.09", min_size=1)
paths = st.lists(segments, max_size=3).map(lambda parts: "".join(f"/{part}" for part in parts))


@pytest.mark.parametrize(
    ("url", "queue"),
    [
        ("http://g:8080/function/b", "http://g:8080/async-function/b"),
        ("http://g:8080/function/b.staging/", "http://g:8080/async-function/b.staging/"),
        ("https://g/function/b/build?failed=200", "https://g/async-function/b/build?failed=200"),
        ("https://h/openfaas/function/b", "https://h/openfaas/async-function/b"),
        ("http://g/async-function/b", "http://g/async-function/b"),
        ("http://g/function/function/function/a", "http://g/async-function/function/function/a"),
        ("http://[::1]:1/function/b", "http://[::1]:1/async-function/b"),
    ],
)
def test_a_functions_queue_is_beside_it(url: str, queue: str) -> None:
    assert gateway.queue_url(url) == queue
    assert gateway.is_behind(url)
    assert gateway.function_url(queue) == url.replace("/async-", "/")


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8080",
        "http://127.0.0.1:8080/build",
        "http://g/function",
        "http://g/function/",
        "http://g/function/?a=b",
        "http://g/functions/b",
        "http://g/my-function/b",
        "http://g/x?to=/function/b",
        "http://function/b",
        "ftp://g/function/b",
        "/function/b",
    ],
)
def test_what_is_behind_no_gateway_has_no_queue(url: str) -> None:
    assert not gateway.is_behind(url)
    assert gateway.function_url(url) == url
    with pytest.raises(UsageError, match="--async needs the gateway") as raised:
        gateway.queue_url(url)
    assert f'"{url}"' in str(raised.value)


@given(before=paths, name=segments, after=paths)
def test_there_and_back_is_the_same_address(before: str, name: str, after: str) -> None:
    url = f"http://g{before}/function/{name}{after}"
    queue = gateway.queue_url(url)

    assert gateway.is_queue(queue)
    assert not gateway.is_queue(url)
    assert gateway.queue_url(queue) == queue
    assert gateway.function_url(queue) == url


def test_as_much_as_the_queue_takes_fits() -> None:
    gateway.require_fits(256_000, plain=1 << 20, limit=gateway.COMMUNITY_LIMIT, largest="a")


def test_a_byte_more_is_told_with_both_sizes_and_what_to_do() -> None:
    with pytest.raises(UsageError) as raised:
        gateway.require_fits(
            256_001, plain=1_048_576, limit=gateway.COMMUNITY_LIMIT, largest="function/model.bin"
        )

    said = str(raised.value)
    for part in ("256,000", "256,001", "1,048,576", "--detach", "function/model.bin", "--queue-"):
        assert part in said
