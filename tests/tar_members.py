"""Builds tar archives byte by byte, honest or hostile, where tarfile would refuse to."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

BLOCK = 512
END = bytes(2 * BLOCK)

CONFIG_NAME = "com.openfaas.docker.config"


@dataclass(frozen=True, kw_only=True)
class Header:
    """One header and its data. Strings go into it as UTF-8, bytes as they are."""

    name: str | bytes
    data: bytes = b""
    type: bytes = b"0"
    link: str | bytes = b""
    mode: bytes = b"0000644\0"
    mtime: bytes = b"00000000000\0"
    size: bytes | None = None  # octal of the data's length, if not given
    magic: bytes = b"ustar\x0000"
    prefix: bytes = b""

    def __bytes__(self) -> bytes:
        size = b"%011o\0" % len(self.data) if self.size is None else self.size
        block = bytearray(BLOCK)
        for start, field in (
            (0, _bytes(self.name)),
            (100, self.mode),
            (124, size),
            (136, self.mtime),
            (148, b" " * 8),
            (156, self.type),
            (157, _bytes(self.link)),
            (257, self.magic),
            (345, self.prefix),
        ):
            block[start : start + len(field)] = field
        block[148:156] = b"%06o\0 " % sum(block)
        return bytes(block) + padded(self.data)

    def but(self, **changes: object) -> Header:
        return dataclasses.replace(self, **changes)  # type: ignore[arg-type]


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % BLOCK)


def file(name: str | bytes, data: bytes = b"", **fields: bytes) -> Header:
    return Header(name=name, data=data, **fields)


def directory(name: str | bytes, **fields: bytes) -> Header:
    return Header(name=name, type=b"5", mode=fields.pop("mode", b"0000755\0"), **fields)


def symlink(name: str | bytes, target: str | bytes) -> Header:
    return Header(name=name, type=b"2", link=target, mode=b"0000777\0")


def hard_link(name: str | bytes, target: str | bytes) -> Header:
    return Header(name=name, type=b"1", link=target)


def gnu_long(kind: bytes, text: bytes) -> Header:
    return Header(name="././@LongLink", type=kind, data=text + b"\0", magic=b"ustar  \0")


def pax(records: Mapping[str, str | bytes], kind: bytes = b"x") -> Header:
    data = b"".join(pax_record(key, _bytes(value)) for key, value in records.items())
    return Header(name="PaxHeaders/0", type=kind, data=data)


def pax_record(key: str, value: bytes) -> bytes:
    rest = b" " + key.encode() + b"=" + value + b"\n"
    length = len(rest) + 1
    while len(str(length)) + len(rest) != length:
        length += 1
    return str(length).encode() + rest


def config(image: str = "registry.example.com/fn:1", **options: object) -> Header:
    return file(CONFIG_NAME, json.dumps({"image": image, **options}).encode())


def tar(*members: Header, end: bytes = END) -> bytes:
    return b"".join(map(bytes, members)) + end


def request(*members: Header) -> bytes:
    """Return a whole request, to whose context *members* are added last."""
    return tar(
        config(), directory("context"), file("context/Dockerfile", b"FROM scratch\n"), *members
    )


def _bytes(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text
