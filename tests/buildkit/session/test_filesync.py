from __future__ import annotations

import urllib.parse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from function.buildkit.rpc.grpc_status import RpcError
from function.buildkit.session.filesync import diff_copy, patterns_of
from function.fsutil import Patterns
from function.fsutil.tree import Entry, Kind, Tree


def test_patterns_come_one_header_each_in_order() -> None:
    headers = {
        "include-patterns": ["a", "b/**"],
        "exclude-patterns": ["*", "!a"],
        "followpaths": ["link"],
    }

    assert patterns_of(headers) == Patterns(
        include=("a", "b/**"), exclude=("*", "!a"), follow_paths=("link",)
    )


def test_without_headers_everything_is_asked_for() -> None:
    assert patterns_of({"dir-name": ["context"]}) == Patterns(
        include=(), exclude=(), follow_paths=()
    )


@pytest.mark.parametrize("mark", [{}, {"exclude-patterns-encoded": ["0"]}])
def test_patterns_that_are_not_marked_as_encoded_are_taken_as_they_are(
    mark: dict[str, list[str]],
) -> None:
    assert patterns_of({"exclude-patterns": ["a%20b+c"], **mark}).exclude == ("a%20b+c",)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), min_size=1))
def test_encoded_patterns_are_decoded(patterns: list[str]) -> None:
    headers = {
        "followpaths": [urllib.parse.quote_plus(pattern) for pattern in patterns],
        "followpaths-encoded": ["1"],
    }

    assert patterns_of(headers).follow_paths == tuple(patterns)


def test_a_pattern_that_means_nothing_fails_the_call() -> None:
    with pytest.raises(RpcError, match=r"\[a"):
        diff_copy({"context": Tree(())})({"dir-name": ["context"], "exclude-patterns": ["[a"]})


def test_a_packet_that_means_nothing_fails_the_call() -> None:
    call = diff_copy({"context": Tree(())})({"dir-name": ["context"]})

    with pytest.raises(RpcError):
        call.receive(b"\xff")


def test_only_the_named_folders_can_be_fetched() -> None:
    with pytest.raises(RpcError, match="no access allowed to dir 'etc'"):
        diff_copy({"context": Tree(())})({"dir-name": ["etc"]})


@pytest.mark.parametrize("asked", [{}, {"exclude-patterns": ["d"]}])
def test_why_an_entry_is_not_sent_is_said_here_as_well(asked: dict[str, list[str]]) -> None:
    heard: list[str] = []
    device = Entry("d", Kind.DEVICE, 0, 0, unfit="d is a device.")
    start = diff_copy({"context": Tree((device,))}, heard.append)

    if asked:
        start({"dir-name": ["context"], **asked})
    else:
        with pytest.raises(RpcError, match="d is a device"):
            start({"dir-name": ["context"]})

    assert heard == ([] if asked else ["d is a device."])
