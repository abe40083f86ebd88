"""Disk and process I/O. Looks for secrets in bytes and in folders, in each form that they are written in.

Files are read as they are, and again as they were before they were compressed: layers are, for one.
"""

from __future__ import annotations

import base64
import gzip
import json
import subprocess
import zlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import IO, TYPE_CHECKING, Protocol
from urllib.parse import quote, quote_plus

from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

_CHUNK_BYTES = 1 << 20
_SHORTEST = 16  # bytes; less than that is found by chance in a file system

_URL_SAFE = bytes.maketrans(b"+/", b"-_")
# encoding/json escapes what HTML could take for markup.
_AS_GO = str.maketrans({"&": "\\u0026", "<": "\\u003c", ">": "\\u003e"})

_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


@dataclass(frozen=True)
class Needle:
    """A secret by the name that a failing test may print."""

    name: str
    value: bytes = field(repr=False)

    def __post_init__(self) -> None:
        assert len(self.value) >= _SHORTEST
        assert b"\n" not in self.value  # what is searched with takes lines

    @cached_property
    def forms(self) -> Mapping[bytes, str]:
        """The bytes to look for, and what they are called."""
        forms = {self.value: "plain"}
        for offset in range(3):
            base = _base64_within(self.value, offset)
            forms[base] = forms[base.translate(_URL_SAFE)] = f"base64 at {offset}"
        forms[self.value.hex().encode()] = "hex"
        forms[self.value.hex().upper().encode()] = "hex"
        for escape in (quote_plus, lambda value: quote(value, safe="")):
            forms.setdefault(escape(self.value).encode(), "URL")
        text = json.dumps(self.value.decode(errors="replace"))[1:-1]
        for escaped in (text, text.translate(_AS_GO)):
            forms.setdefault(escaped.encode(), "JSON")
        return forms


@dataclass(frozen=True, order=True)
class Trace:
    needle: str
    form: str
    place: str


def in_bytes(needles: Collection[Needle], place: str, content: bytes) -> Iterator[Trace]:
    for needle in needles:
        for form, name in needle.forms.items():
            if form in content:
                yield Trace(needle.name, name, place)


def in_folder(needles: Collection[Needle], place: str, folder: Path) -> Iterator[Trace]:
    """Search all below the folder, names of files included. Links are not followed."""
    names = "\n".join(str(path.relative_to(folder)) for path in folder.rglob("*"))
    yield from in_bytes(needles, f"{place}: a file's name", names.encode())
    finished = _grep(needles, "--recursive", "--devices=skip", "--with-filename", "--null", folder)
    for line in finished.splitlines():
        name, _, found = line.partition(b"\0")
        inside = name.decode().removeprefix(f"{folder}/")
        yield from _named(needles, f"{place}: {inside}", found)
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            yield from _in_compressed(needles, f"{place}: {path.relative_to(folder)}", path)


def _in_compressed(needles: Collection[Needle], place: str, path: Path) -> Iterator[Trace]:
    with path.open("rb") as file:
        content = _unpacked(file)
        if content is not None:
            for found in _grep(needles, content=content).splitlines():
                yield from _named(needles, f"{place}, unpacked", found)


def _unpacked(file: IO[bytes]) -> _Readable | None:
    start = file.read(4)
    file.seek(0)
    if start.startswith(_GZIP):
        return gzip.GzipFile(fileobj=file)
    if start == _ZSTD:
        return zstd.open(file)
    return None


def _named(needles: Collection[Needle], place: str, found: bytes) -> Iterator[Trace]:
    for needle in needles:
        if found in needle.forms:
            yield Trace(needle.name, needle.forms[found], place)


def _grep(
    needles: Collection[Needle], *arguments: str | Path, content: _Readable | None = None
) -> bytes:
    forms = [argument for each in needles for form in each.forms for argument in (b"-e", form)]
    options = ["--fixed-strings", "--text", "--only-matching"]
    with subprocess.Popen(
        [b"grep", *options, *forms, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"},
    ) as process:
        assert process.stdin
        if content is not None:
            _copy(content, process.stdin)
        output, _ = process.communicate()
    assert process.returncode in {0, 1}  # found, not found
    return output


def _copy(content: _Readable, into: IO[bytes]) -> None:
    try:
        while chunk := content.read(_CHUNK_BYTES):
            into.write(chunk)
    except (EOFError, gzip.BadGzipFile, zlib.error, zstd.ZstdError):
        pass  # a file that only begins like a compressed one, or was not written to its end


def _base64_within(value: bytes, offset: int) -> bytes:
    """Return the characters that depend on nothing but the value when *offset* bytes (mod 3) precede it."""
    text = base64.b64encode(bytes(offset) + value)
    # Six bits a character; those that a neighbour has a part in are left out.
    first = -(-8 * offset // 6)
    last = 8 * (offset + len(value)) // 6
    return text[first:last]
