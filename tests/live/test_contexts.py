"""Contexts as steps see them, whatever program made the archive; and those that refuse a build."""

from __future__ import annotations

import hashlib
import subprocess
from secrets import token_hex
from typing import TYPE_CHECKING, Any

import pytest

from ..tar_members import (
    Header,
    config,
    directory,
    file,
    hard_link,
    pax,
    symlink,
    tar,
)
from .caller import Answer, Request, build, post

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from stack.daemons.buildkitd import Buildkitd

    from .conftest import StartFunction

SECOND = 1_000_000_000
DEVICE = Header(name="context/fixtures/null", type=b"3")
PIPE = Header(name="context/fixtures/pipe", type=b"6")
LATIN = file(b"context/fixtures/caf\xe9.txt", b"latin")


def sent(url: str, dockerfile: str, *members: Header, ignore: str = "", **options: Any) -> Answer:
    """Build *members* without a push, and run every step."""
    body = tar(
        config(**{"skipPush": True, "noCache": True, **options}),
        directory("context"),
        file("context/Dockerfile", f"{dockerfile}\n".encode()),
        file("context/.dockerignore", ignore.encode()),
        *members,
    )
    return post(url, body, {})


def printed(answer: Answer) -> list[str]:
    """Return what the last step printed."""
    assert answer.status == 200, answer.document
    log = answer.document["log"]
    begun = max(at for at, line in enumerate(log) if " RUN " in line)
    number = log[begun].split()[0]
    lines = (line.split(maxsplit=2) for line in log[begun + 1 :])
    return [
        words[2]
        for words in lines
        if len(words) > 2 and words[0] == number and words[1][0].isdigit()
    ]


def timed(name: str, content: str, nanoseconds: int) -> list[Header]:
    seconds, rest = divmod(nanoseconds, SECOND)
    return [pax({"mtime": f"{seconds}.{rest:09}"}), file(f"context/{name}", content.encode())]


STAT = (
    "FROM debian:trixie-slim\nCOPY . /src\nRUN --mount=target=/ctx cd /ctx && stat -c '%n %.9Y' a b"
)


def test_steps_see_exactly_the_times_of_the_archive(builder: str) -> None:
    first, second = 1_700_000_000 * SECOND, 1_700_000_000 * SECOND + 123_456_789
    for later in (second, second + 1, second + SECOND):  # the daemon has the first file from now on
        answer = sent(builder, STAT, *timed("a", "same", first), *timed("b", f"{later}", later))

        assert printed(answer) == [
            "a 1700000000.000000000",
            f"b {later // SECOND}.{later % SECOND:09}",
        ]


def test_make_finds_up_to_date_what_was_made_in_the_same_second(builder: str) -> None:
    """Expect nothing to be made again: both files have one time, and as old as its source is new enough."""
    files = [
        *timed("a", "a: b\n", 1_700_000_000 * SECOND),
        *timed("b", "b", 1_700_000_000 * SECOND),
    ]
    dockerfile = (
        "FROM debian:trixie-slim\nCOPY . /src\n"
        "RUN cd /src && [ ! b -nt a ] && [ ! a -nt b ] && echo same"
    )

    assert printed(sent(builder, dockerfile, *files)) == ["same"]


def test_no_step_sees_an_old_content_of_the_same_size_and_time(builder: str) -> None:
    image = token_hex(4)
    for content in ("one", "two", "one", "six"):
        request = Request(
            {"Dockerfile": "FROM debian:trixie-slim\nCOPY a /\nRUN cat /a; echo\n", "a": content},
            f"{image}:1",
            {"skipPush": True, "noCache": True},
        )
        assert content in " ".join(build(builder, request).log)


@pytest.mark.parametrize(
    ("dockerfile", "ignore"),
    [
        pytest.param("FROM scratch\nCOPY . /", "fixtures", id="ignored"),
        pytest.param("FROM scratch\nCOPY . /", "**/caf*\n**/null\n**/pipe", id="ignored by name"),
        pytest.param("FROM scratch\nCOPY a /", "", id="copied by nobody"),
    ],
)
@pytest.mark.parametrize(
    "member",
    [
        DEVICE,
        PIPE,
        LATIN,
        symlink("context/fixtures/null", b"caf\xe9"),
        hard_link("context/fixtures/null", "/etc/passwd"),
        Header(name="context/fixtures/null", type=b"M"),
        file("context/fixtures/null", mtime=b"\x80" + b"\x7f" * 11),
    ],
    ids=["device", "pipe", "Latin-1", "Latin-1 link", "link to nothing", "odd type", "odd time"],
)
def test_what_is_not_sent_refuses_no_build(
    builder: str, member: Header, dockerfile: str, ignore: str
) -> None:
    answer = sent(builder, dockerfile, file("context/a", b"a"), member, ignore=ignore)

    assert answer.status == 200, answer.document


@pytest.mark.parametrize(
    ("member", "words"),
    [
        (DEVICE, '"context/fixtures/null" is a character device; only files'),
        (DEVICE.but(type=b"4"), "is a block device"),
        (DEVICE.but(name=b"context/caf\xe9"), r'"context/caf\xe9" is a character device'),
        (hard_link("context/a", "nowhere"), '"context/a" is a hard link to "nowhere"'),
        (hard_link("context/a", b"\xe9"), r'"context/a" is a hard link to "\xe9"'),
    ],
)
def test_what_is_to_be_sent_and_cannot_be_is_refused_by_its_name(
    builder: str, member: Header, words: str
) -> None:
    answer = sent(builder, "FROM scratch\nCOPY . /", member)

    assert (answer.status, answer.document["reason"]) == (400, "bad_archive"), answer.document
    assert words in answer.document["error"]


def test_an_ignore_file_may_be_long(builder: str) -> None:
    """Each of its lines is a header of the daemon's request."""
    patterns = "".join(f"generated/some/folder/of/some/name/{number}\n" for number in range(2000))
    dockerfile = "FROM debian:trixie-slim\nCOPY . /src\nRUN cd /src/generated && find . -type f"
    members = [
        file(f"context/generated/some/folder/of/some/name/{name}") for name in (0, 1999, 2000)
    ]

    assert printed(sent(builder, dockerfile, *members, ignore=patterns)) == [
        "./some/folder/of/some/name/2000"
    ]


def test_names_reach_the_steps_byte_for_byte(builder: str) -> None:
    dockerfile = (
        "FROM debian:trixie-slim\nCOPY . /src\n"
        "RUN cd /src/fixtures && for f in * $(readlink link); do echo $f | od -An -tx1; done; cat linked"
    )
    answer = sent(
        builder, dockerfile, LATIN, symlink("context/fixtures/link", b"\xff/\xe9"),
        hard_link("context/fixtures/linked", b"context/fixtures/caf\xe9.txt"),
    )  # fmt: skip

    assert [line.strip() for line in printed(answer)] == [
        "63 61 66 e9 2e 74 78 74 0a",
        "6c 69 6e 6b 0a",
        "6c 69 6e 6b 65 64 0a",
        "ff 2f e9 0a",
        "latin",
    ]


def test_a_copy_of_a_wildcard_takes_names_that_are_bytes(builder: str) -> None:
    dockerfile = "FROM debian:trixie-slim\nCOPY fixtures/caf* /src/\nRUN ls /src | od -An -tx1"

    assert (
        printed(sent(builder, dockerfile, LATIN, PIPE))[0].strip() == "63 61 66 e9 2e 74 78 74 0a"
    )


def test_a_named_pipe_is_one_in_the_steps(builder: str) -> None:
    dockerfile = "FROM debian:trixie-slim\nCOPY . /src\nRUN [ -p /src/fixtures/pipe ] && echo pipe"

    assert printed(sent(builder, dockerfile, PIPE)) == ["pipe"]


@pytest.mark.parametrize("options", [["--format=gnu"], ["--format=posix"]], ids="".join)
def test_steps_see_a_sparse_file_whole(builder: str, tmp_path: Path, options: list[str]) -> None:
    big = tmp_path / "context" / "big"
    big.parent.mkdir()
    (big.parent / "Dockerfile").write_text(
        "FROM debian:trixie-slim\nCOPY . /src\nRUN sha256sum < /src/big\n"
    )
    (tmp_path / "com.openfaas.docker.config").write_text(
        '{"image": "a", "skipPush": true, "noCache": true}'
    )
    with big.open("wb") as writing:
        writing.seek(5 << 20)
        writing.write(b"after a hole")
        writing.truncate(16 << 20)
    command = ["tar", "-C", str(tmp_path), "--sparse", *options, "-cf", "-", "."]
    body = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout

    [said] = printed(post(builder, body, {}))

    assert len(body) < 1 << 20
    assert said.split()[0] == hashlib.sha256(big.read_bytes()).hexdigest()


def test_steps_see_what_a_hard_link_to_a_file_beside_the_context_leads_to(builder: str) -> None:
    dockerfile = (
        "FROM debian:trixie-slim\nCOPY . /src\nRUN cat /src/a && [ /src/a -ef /src/b ] && echo same"
    )
    members = [
        file("shared/x", b"shared\n"),
        hard_link("context/a", "shared/x"),
        hard_link("context/b", "context/a"),
    ]

    assert printed(sent(builder, dockerfile, *members)) == ["shared", "same"]


def test_a_program_of_an_archive_from_windows_runs(builder: str) -> None:
    dockerfile = "FROM debian:trixie-slim\nCOPY run.sh /\nRUN /run.sh"
    program = file("context\\run.sh", b"#!/bin/sh\necho it runs\n", mode=b"0000666\0")

    assert printed(sent(builder, dockerfile, program)) == ["it runs"]


WRITES = """\
FROM debian:trixie-slim
WORKDIR /w/x
RUN echo x > /made && mkdir /folder && touch /folder/y
COPY a /x/y/a
"""


def test_a_reproducible_image_is_the_same_from_any_daemon(
    start_function: StartFunction, start_daemon: Callable[..., Buildkitd], mirror: str
) -> None:
    digests: dict[str, set[str]] = {}
    for number in range(2):
        with start_function(start_daemon(mirror).address) as function:
            for name, options in (
                ("reproducible", {"reproducible": True}),
                ("epoch", {"buildArgs": {"SOURCE_DATE_EPOCH": "1700000000"}}),
            ):
                files = {"Dockerfile": WRITES, "a": "a"}
                image = f"{mirror}/contexts/{name}:{number}"
                answer = build(function.url, Request(files, image, {**options, "noCache": True}))
                assert answer.status == 200, answer.document
                digests.setdefault(name, set()).add(answer.document["digest"])

    assert {name: len(found) for name, found in digests.items()} == {"reproducible": 1, "epoch": 1}


def test_a_reproducible_image_is_the_same_when_built_again(builder: str, mirror: str) -> None:
    """Build with or without a cache, and whatever the daemon has of the context."""
    image, config_ = f"{mirror}/contexts/again:1", {"reproducible": True, "noCache": True}
    first, second, other, third = (
        build(
            builder,
            Request({"Dockerfile": WRITES, "a": content}, image, {**config_, "noCache": fresh}),
        )
        for content, fresh in (("a", True), ("a", True), ("b", False), ("a", False))
    )

    assert first.document["digest"] == second.document["digest"] == third.document["digest"]
    assert other.document["digest"] != first.document["digest"]
