"""Pure. A pull or a push that failed, as a sentence: which registry, which repository, what to do.

The daemon says these things in Go's words (net/http, crypto/x509, net) and in the registry's own, behind a
few fixed beginnings (text/display_strings.py).
What is matched here was collected from that daemon and from docker-registry 2.8; the statuses that this
registry never gives are the distribution specification's (v1.1) and Docker Hub's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal

from ..text.display_strings import (
    AUTHORIZE_FAILED,
    FROM,
    LAYER_FAILED,
    PULL_FAILED,
    PUSH_FAILED,
    UNEXPECTED_STATUS,
)
from ..text.plain_text import ends_of, plain

# Searching takes quadratic time; what matters stands at either end.
_MAX_MESSAGE = 4_000

_NAME = re.compile(r"(?P<host>[^/\s]+)/(?P<repository>[^:@\s]+)(?P<version>\S*)")
_URL = re.compile(
    r"\bhttps?://(?P<host>[^/\s\"]+)(?:/v2/(?P<repository>\S+?)/(?:blobs|manifests)/)?"
)
# The daemon's word for every code that it does not know; what follows are the registry's own.
_OWN_WORDS = re.compile(r"^unknown: (?P<words>.*)", re.DOTALL)
_MAX_OWN_WORDS = 400
# Names of images and URLs; any word may be part of one.
_NAMES = re.compile(r"\S*/\S*")

_CREDENTIALS = (
    "ave valid credentials for {host} put into the builder's config.json, or send them in the build "
    "secrets."
)
_TOML = 'in buildkitd.toml, under [registry."{configured}"].'

_UNAUTHORIZED = "{peer} was given no credentials, or not the right ones. H" + _CREDENTIALS
_DENIED = (
    "{host} does not let the builder {verb} {repository}, if there is such a repository. Check its name, "
    "or h" + _CREDENTIALS
)
_NO_IMAGE = "{host} has no {repository}{version}. Check the name."
# The daemon names none of the hosts that it asked, and a mirror's 404 goes before another's silence. Mirrors
# are for registries far away: one with a port of its own is taken to have none.
_NO_IMAGE_OR_MIRROR = (
    "{host} has no {repository}{version}, or a mirror of {host} has none and {host} is out of reach. "
    "Check the name."
)
_NO_PLATFORM = (
    "{host} has it for other platforms only. Build for one of those, or from another image."
)
_NO_LAYER = "{peer} no longer has one of its layers. Use another version, or have it pushed again."
_NO_REPOSITORY = "{host} has no place for {repository}. Check the name, or create it there first."
_NO_ADDRESS = "{peer} has no address. Check how it is written, and buildkitd's name server."
_REFUSED = "nothing listens at {peer}. Check the port, and that the registry is running."
_UNREACHABLE = "{peer} is out of reach. Check the address, and buildkitd's network."
_TIMEOUT = "{peer} did not answer in time. Check that buildkitd can reach it, then try again."
_PLAIN_HTTP = (
    "{peer} speaks plain HTTP, not TLS. Have buildkitd's operator allow it with http = true "
    + _TOML
)
_NOT_PLAIN_HTTP = (
    "{peer} did not understand plain HTTP. If it speaks TLS, have buildkitd's operator set http = false "
    + _TOML
)
_UNKNOWN_AUTHORITY = (
    "the certificate of {peer} is from an authority unknown to buildkitd. Have its operator name the "
    "authority's certificate as ca " + _TOML
)
_EXPIRED = "the certificate of {peer} has expired. Have it renewed."
_NOT_YET_VALID = "the certificate of {peer} is not valid yet. Check it, and the clock of buildkitd."
_OTHER_HOST = (
    "the certificate of {peer} is for another name. Use that name, or have a certificate made for this "
    "one."
)
_NO_TLS = "no TLS connection can be made to {peer}. Check its certificate and its TLS settings."
_TOO_MANY = (
    "{peer} has had too many requests. Wait; or have it given credentials with a higher limit, or a "
    "mirror of it set up in buildkitd.toml."
)
_NO_QUOTA = "the quota of {repository} at {host} is used up. Delete images, or have it raised."
_TOO_LARGE = "a layer is larger than {peer} takes. Make it smaller, or have that limit raised."
_READ_ONLY = "{host} is read-only. Wait until its maintenance is over, or push to another registry."
_IMMUTABLE = (
    "{host} does not let {repository}{version} be changed, now that it is there. Push under another tag, or "
    "have that rule of the repository changed."
)
_DISK_FULL = "the disk of {peer} is full. Have its operator make room there, then try again."
_NOT_WRITABLE = "{peer} cannot write to its storage. Tell its operator: its log says more."
_MANIFEST_INVALID = (
    "{peer} does not take the image's manifest. Check that it takes OCI images; its log says more."
)
_SAYS = "{peer} refused it and says: {words}"
_BROKE_OFF = "{peer} broke off the connection. Try again; if it stays so, see the registry's log."
_SERVER_ERROR = "{peer} had an error of its own. Try again; if it stays so, see the registry's log."

# The first that fits counts: the more specific come before the more general.
_BY_WORDS = tuple(
    (re.compile(words, re.DOTALL), sentence)
    for words, sentence in (
        (r"x509: certificate signed by unknown authority", _UNKNOWN_AUTHORITY),
        (r"x509: certificate has expired or is not yet valid: .* is before ", _NOT_YET_VALID),
        (r"x509: certificate has expired or is not yet valid", _EXPIRED),
        (
            r"x509: (?:certificate is (?:not )?valid for|cannot validate|certificate relies)",
            _OTHER_HOST,
        ),
        (r"x509: |\btls: ", _NO_TLS),
        (r"server gave HTTP response to HTTPS client", _PLAIN_HTTP),
        (r"no such host|server misbehaving|name resolution|\blookup .*timeout", _NO_ADDRESS),
        (r"connection refused", _REFUSED),
        (r"no route to host|network is unreachable", _UNREACHABLE),
        (r"timeout\b|deadline exceeded", _TIMEOUT),
        (r"\btoomanyrequests\b|rate limit", _TOO_MANY),
        (r"\bquota\b|\bexceed\w*\b.*\blimit\b", _NO_QUOTA),
        (r"^unsupported\b", _READ_ONLY),
        (r"\bno space left\b|\bdisk (?:is )?full\b|insufficient storage", _DISK_FULL),
        (r"read-only file system|\bpermission denied\b", _NOT_WRITABLE),
        (
            r"\bimmutab|cannot be overwritten|not allow(?:ed)?\b.* (?:updat|overwrit|redeploy)",
            _IMMUTABLE,
        ),
        (r"insufficient_scope|\bdenied\b", _DENIED),
        (r"\bunauthorized\b|authorization failed|no basic auth", _UNAUTHORIZED),
        (r"^no match for platform\b", _NO_PLATFORM),
        (r"^(?:unknown: )?manifest invalid\b", _MANIFEST_INVALID),
        (r"^unknown(?:: unknown error)?$|^unavailable\b|^internal\b", _SERVER_ERROR),
        (
            r"\bnot found\b|\b(?:name|manifest|repository|blob) unknown\b|not known to registry",
            _NO_IMAGE,
        ),
        (r"\bEOF\b|connection reset|broken pipe", _BROKE_OFF),
    )
)
_BY_STATUS = {
    401: _UNAUTHORIZED,
    403: _DENIED,
    404: _NO_IMAGE,
    405: _READ_ONLY,
    413: _TOO_LARGE,
    429: _TOO_MANY,
    507: _NO_QUOTA,
}
# These come with several statuses, which say less.
_SURE_WORDS = {_NO_QUOTA, _DISK_FULL, _NOT_WRITABLE, _IMMUTABLE, _MANIFEST_INVALID}
_OF_PUSHES = {_READ_ONLY, _TOO_LARGE, *_SURE_WORDS}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Attempt:
    """One attempt at a registry; for a layer of an image that nobody names, *repository* is empty."""

    verb: Literal["pull", "push to"]
    host: str
    repository: str
    version: str = ""  # ":tag", "@digest", or both
    layer: bool = False
    rest: str  # what the daemon says of it

    def beginning(self) -> str:
        if self.verb == "push to":
            return f"The image cannot be pushed to {self.host}/{self.repository}"
        if self.repository:
            return f"The base image {self.host}/{self.repository}{self.version} cannot be pulled"
        return "A base image cannot be pulled"

    def reason(self) -> str:
        """Return what went wrong and what to do; nothing if there is no more to say."""
        url = _URL.search(self.rest)
        # The registry, a mirror of it, or the server of its tokens, which is spoken to as to the registry.
        server = url["host"] if url else self.host
        of_tokens = AUTHORIZE_FAILED.match(self.rest) is not None
        return self._template().format(
            verb=self.verb,
            host=self.host,
            peer=self.host if server == self.host else f"{server} (for {self.host})",
            configured=self.host if of_tokens else server,
            repository=self.repository or "it",
            words=self._own_words(),
            version=self.version,
        )

    def _own_words(self) -> str:
        """Return what the registry itself says, if it is known where that begins."""
        found = _OWN_WORDS.search(self.rest) or UNEXPECTED_STATUS.search(self.rest)
        words = " ".join(((found and found["words"]) or "").split())
        return words if len(words) <= _MAX_OWN_WORDS else f"{words[:_MAX_OWN_WORDS]}…"

    def _template(self) -> str:
        said = _NAMES.sub("", self.rest).strip()
        found = next((template for words, template in _BY_WORDS if words.search(said)), "")
        if answered := UNEXPECTED_STATUS.search(self.rest):
            status, words = int(answered["status"]), answered["words"] or ""
            # Go's TLS servers say so, where a body can. Behind the first question it was understood.
            not_understood = (
                "HTTP request to an HTTPS server" in words or answered["method"] == "HEAD"
            )
            if status == 400 and answered["url"].startswith("http://") and not_understood:
                return _NOT_PLAIN_HTTP
            if found not in _SURE_WORDS:
                found = _BY_STATUS.get(status, _SERVER_ERROR if status >= 500 else "")
        found = found or (_SAYS if self._own_words() else "")
        if self.verb == "push to":
            return _NO_REPOSITORY if found == _NO_IMAGE else found
        if found == _NO_IMAGE and self.layer:
            return _NO_LAYER
        if found == _NO_IMAGE and ":" not in self.host and not _URL.search(self.rest):
            return _NO_IMAGE_OR_MIRROR
        return "" if found in _OF_PUSHES else found


def explain(message: str, step: str = "") -> str:
    """Explain what went wrong and what to do; return nothing if no registry is behind *message*, or it says
    no more.

    *message* is how the daemon ended Solve, *step* the name of the step that failed.
    """
    attempt = _attempt(ends_of(plain(message), _MAX_MESSAGE), step)
    reason = attempt.reason() if attempt else ""
    return f"{attempt.beginning()}: {reason}" if attempt and reason else ""


def explain_pull(name: str, words: str) -> str:
    """Return the same of the base image *name*, of which the daemon says *words*."""
    attempt = _named("pull", name, ends_of(plain(words), _MAX_MESSAGE))
    reason = attempt.reason() if attempt else ""
    return f"{attempt.beginning()}: {reason}" if attempt and reason else ""


def _attempt(message: str, step: str) -> _Attempt | None:
    if found := LAYER_FAILED.match(message):
        return _layer(found["rest"], step)
    if found := PULL_FAILED.match(message):
        return _named("pull", found["name"], found["rest"])
    if found := PUSH_FAILED.match(message):
        return _named("push to", found["name"], found["rest"])
    return None


def _named(verb: Literal["pull", "push to"], name: str, rest: str) -> _Attempt | None:
    if (parts := _NAME.fullmatch(name)) is None:
        return None
    return _Attempt(
        verb=verb,
        host=parts["host"],
        repository=parts["repository"],
        version=parts["version"],
        rest=rest,
    )


def _layer(rest: str, step: str) -> _Attempt:
    if (image := FROM.match(step)) and (named := _named("pull", image["name"], rest)):
        return replace(named, layer=True)
    url = _URL.search(rest)
    if url and url["repository"]:
        host, repository = url["host"], url["repository"]
    else:
        host, repository = "its registry", ""
    return _Attempt(verb="pull", host=host, repository=repository, layer=True, rest=rest)
