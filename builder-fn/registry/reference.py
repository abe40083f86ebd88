"""Pure. Image references, by the grammar of github.com/distribution/reference v0.6 (regexp.go).

buildkitd applies the same grammar, but only when it pushes, after the whole build.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from ..errors import ConfigError
from ..quoting import quoted

_HUB = "docker.io"
_HUB_FORMERLY = "index.docker.io"
_HUB_OFFICIAL = "library/"
_LOCALHOST = "localhost"

_MAX_HOST = 255  # of DNS (RFC 1035, section 2.3.4)
_MAX_PATH = 255  # reference.go, RepositoryNameTotalLengthMax
_MAX_TAG = 128
_MAX_PORT = 65535
_PART = re.compile("[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*")
_LABEL = "[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_DOMAIN = re.compile(rf"({_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::([0-9]{{1,5}}))?")
TAG = re.compile(rf"[a-zA-Z0-9_][a-zA-Z0-9_.-]{{0,{_MAX_TAG - 1}}}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128}")
_IMAGE_ID = re.compile(r"[0-9a-f]{64}")
_FOREIGN = re.compile(r"[^a-zA-Z0-9._/:@\[\]-]")

EXAMPLE = "registry.example.com/team/name:1.0"


@dataclass(frozen=True, slots=True)
class Reference:
    """A registry's *domain*, with its port; the *path* of a repository there; a tag, a digest.

    `str` gives the canonical form; *text* is what the caller wrote, and no part of what is compared.
    """

    domain: str
    path: str
    tag: str = ""
    digest: str = ""
    text: str = field(default="", compare=False)

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Parse an image's name. Raises ConfigError saying what is wrong and, where that is
        plain, what would be right.
        """
        _require_plain(text)
        name, at, digest = text.partition("@")
        domain, rest = split_domain(name)
        path, colon, tag = rest.partition(":")
        start = len(name) - len(rest)
        _require_repository(text, domain, path, start)
        if colon and not TAG.fullmatch(tag):
            raise ConfigError(
                f"The tag of the image name {quoted(text)} must be 1 to {_MAX_TAG} letters, digits, "
                '"_", "." and "-", and not begin with "." or "-".'
            )
        if at and not _DIGEST.fullmatch(digest):
            raise ConfigError(
                f'The digest of the image name {quoted(text)} must be "sha256:" and 64 lower-case '
                "hexadecimal digits."
            )
        if domain == _HUB and "/" not in path:
            path = _HUB_OFFICIAL + path
        if len(path) > _MAX_PATH:
            raise ConfigError(
                f"The repository in the image name {quoted(text)} has {len(path)} characters; "
                f"{_MAX_PATH} are the most."
            )
        return cls(domain, path, tag, digest, text)

    @property
    def name(self) -> str:
        return f"{self.domain}/{self.path}"

    @property
    def untagged(self) -> str:
        """*text* without its tag."""
        return self.text.removesuffix(f":{self.tag}")

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return self.name + tag + digest


def split_domain(name: str) -> tuple[str, str]:
    """Split the first part off if it looks like a domain (normalize.go, splitDockerDomain)."""
    first, slash, rest = name.partition("/")
    if slash and first == _HUB_FORMERLY:
        return _HUB, rest
    if slash and (first == _LOCALHOST or "." in first or ":" in first or not first):
        return first, rest
    # distribution takes an upper-case first part for a domain too, which its tests call a fault.
    return _HUB, name


def _require_plain(text: str) -> None:
    if not text:
        raise ConfigError(f'The image name is empty; write one such as "{EXAMPLE}".')
    scheme, colon, rest = text.partition("://")
    if colon:
        raise ConfigError(
            f"The image name {quoted(text)} has a scheme; use {quoted(rest)}, without "
            f"{quoted(scheme)[1:-1]}://."
        )
    if foreign := _FOREIGN.search(text):
        raise ConfigError(
            f"The image name {quoted(text)} has the character {quoted(foreign[0])}, which no image "
            f'name can have; write one such as "{EXAMPLE}".'
        )
    if _IMAGE_ID.fullmatch(text):
        raise ConfigError(
            f"The image name {quoted(text)} is 64 hexadecimal digits, as image ids are; choose a name."
        )


def _require_repository(text: str, domain: str, path: str, start: int) -> None:
    if not path or not domain:
        raise ConfigError(
            f'The image name {quoted(text)} names no repository; write one such as "{EXAMPLE}".'
        )
    if path != path.lower():
        corrected = text[:start] + path.lower() + text[start + len(path) :]
        raise ConfigError(
            f"The image name {quoted(text)} has upper-case letters; use {quoted(corrected)}."
        )
    match = _DOMAIN.fullmatch(domain)
    if not match or int(match[2] or 0) > _MAX_PORT:
        raise ConfigError(
            f"The image name {quoted(text)} begins with {quoted(domain)}, which is no host name "
            "with an optional port."
        )
    if len(match[1]) > _MAX_HOST:
        raise ConfigError(
            f"The host in the image name {quoted(text)} has {len(match[1])} characters; "
            f"{_MAX_HOST} are the most."
        )
    for part in path.split("/"):
        if not _PART.fullmatch(part):
            raise ConfigError(
                f"The image name {quoted(text)} has the part {quoted(part)}; a part is letters and "
                'digits, with ".", "_", "__" or any number of "-" only between them.'
            )
