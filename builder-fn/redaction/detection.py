"""Pure. Tells by names and shapes which values are secrets: build arguments above all.

Like BuildKit's rule SecretsUsedInArgOrEnv (moby/buildkit v0.32.2 dockerfile2llb/validations.go), which sees
the Dockerfile's names alone, this goes by the words of a name; it knows the values too, and so leaves
`USE_AUTH=true` and `TOKEN_URL=https://…` in peace, and finds a token under any name.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

from ..buildkit.outcome import BuildWarning
from ..quoting import quoted

if TYPE_CHECKING:
    from collections.abc import Mapping

# The words of NPM_TOKEN, npm-token, npmToken and NPMToken.
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")

# A name that ends in one of these says that its value is secret, whatever that looks like: DB_PASSWORD,
# or run together MYPASSWORD.
_PASSWORD = re.compile("passwords?|pwd|pword|secrets|[a-z]*(?:passphrase|passwd|password|secret)")
# One of these says so unless the value is a plain word or a number: COMPOSER_AUTH, auth=required.
_TOKEN = re.compile("auth|authorization|credentials?|creds|jwt|pat|tokens|[a-z]*(?:apikey|token)")
# What makes a key a secret one; CACHE_KEY and GPG_KEY are none.
_SECRET_KEY = re.compile(
    "(?:access|account|api|auth|deploy|encryption|licen[cs]e|master|private|secret|service|sign"
    "|signing|ssh|storage) keys?"
)
# With one of these behind it the name means something about a secret: TOKEN_URL, AUTH_TYPE, SECRET_NAME.
_ABOUT = re.compile(
    "algorithm|audience|backend|count|dir|directory|enabled|endpoint|env|expiry|file|filename|folder"
    "|format|header|helper|host|id|image|issuer|len|length|lifetime|limit|method|mode|names?|path"
    "|policy|port|prefix|provider|realm|region|scope|server|service|size|timeout|ttl|type|ur[il]"
    "|user|username|version"
)

_PLAIN_WORD = re.compile(r"[a-z]+|[0-9]{1,6}|[0-9]+(?:\.[0-9]+)*")
_SWITCH = re.compile(r"(?i)true|false|yes|no|on|off|none|null|nil|[01]?|\{\s*\}|\[\s*\]")
_REFERENCE = re.compile(r"\$\w+|\$\{[^}]*\}|\$\([^)]*\)|%\w+%|\{\{.*\}\}|<[^<>]*>|\*+|x+|X+")
_LOCATION = re.compile(r"(?:[a-zA-Z][\w+.-]*:/|~|\.{1,2})?/\S*")

# What issuers begin their tokens with, and how long these are at least. The sender of a build chooses what
# this is applied to, and nothing else runs meanwhile: a pattern here must not read on from many places over
# the same characters.
_ISSUED = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    r"gh[opsur]_[A-Za-z0-9]{20,}|github_pat_\w{20,}"  # GitHub
    r"|gl(?:pat|ptt|rt|dt|cbt|ft|soat|agent)-[\w-]{20,}"  # GitLab
    r"|npm_[A-Za-z0-9]{20,}"  # npm
    r"|pypi-[\w-]{50,}"  # PyPI
    r"|dckr_(?:pat|oat)_[\w-]{20,}"  # Docker Hub
    r"|(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Za-z0-9])"  # AWS
    r"|AIza[\w-]{35}|ya29\.[\w-]{20,}|GOCSPX-[\w-]{20,}"  # Google
    r"|xox[abeprs]-[\w-]{10,}|xapp-[\w-]{10,}"  # Slack
    r"|(?:sk|rk)_(?:live|test)_[A-Za-z0-9]{16,}"  # Stripe
    r"|sk-[A-Za-z0-9_-]{32,}|hf_[A-Za-z0-9]{30,}"  # OpenAI and Anthropic, Hugging Face
    r"|SG\.[\w-]{20,}\.[\w-]{20,}"  # SendGrid
    r"|hv[bs]\.[\w-]{20,}"  # Vault
    r"|do[opr]_v1_[a-f0-9]{40,}|dapi[a-f0-9]{32}|lin_api_\w{30,}|shp(?:at|ss)_[a-fA-F0-9]{32}"
    r"|AGE-SECRET-KEY-1[A-Z0-9]{20,}"
    # A JSON Web Token; only the first beginning in a row of its characters counts.
    r"|(?<![\w-])(?>[\w-]*?(?<![A-Za-z0-9])eyJ)[\w-]{8,}+\.[\w-]{8,}+\."
    r")|-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----"
)
_USERINFO = re.compile(r"[A-Za-z0-9+.-]://[^\s/:@\"'<>]{0,256}:([^\s/@\"'<>]{1,1024})@")


def looks_secret(name: str, value: str) -> bool:
    """Return whether *value*, by its shape or under that *name*, is one that nobody else may read."""
    value = value.strip()
    if _SWITCH.fullmatch(value) or _REFERENCE.fullmatch(value):
        return False
    if has_secret_shape(value):
        return True
    if _LOCATION.fullmatch(value):
        return False
    words = [word.lower() for word in _WORDS.findall(name)]
    if not words or _ABOUT.fullmatch(words[-1]) or "public" in words or "pub" in words:
        return False
    if _PASSWORD.fullmatch(words[-1]):
        return True
    return _names_token(words) and not _PLAIN_WORD.fullmatch(value)


def has_secret_shape(value: str) -> bool:
    """Return whether a token of a well-known issuer, a private key, or a URL's password is in *value*."""
    return bool(_ISSUED.search(value)) or any(
        not _REFERENCE.fullmatch(match[1]) for match in _USERINFO.finditer(value)
    )


def warnings(build_args: Mapping[str, str]) -> tuple[BuildWarning, ...]:
    """Return a warning for each argument that looks like a secret, without its value."""
    return tuple(
        BuildWarning(
            message=f"The build argument {quoted(name)} looks like a secret, and everyone who can "
            "pull the image can read its build arguments. Send it in com.openfaas.secrets instead "
            "(build_secrets in stack.yml), and have the step that needs it mount it: "
            "RUN --mount=type=secret,id=NAME."
        )
        for name, value in build_args.items()
        if looks_secret(name, value)
    )


def values(build_args: Mapping[str, str]) -> tuple[bytes, ...]:
    """Return the values of the arguments that look like secrets."""
    return tuple(value.encode() for name, value in build_args.items() if looks_secret(name, value))


def _names_token(words: list[str]) -> bool:
    """Return whether a name of those *words* is one of a password, a token or a secret key."""
    return any(_PASSWORD.fullmatch(word) or _TOKEN.fullmatch(word) for word in words) or any(
        _SECRET_KEY.fullmatch(" ".join(pair)) for pair in pairwise(words)
    )
