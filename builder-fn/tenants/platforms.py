"""Pure. Platforms by one name each, as github.com/containerd/platforms makes them one (database.go)."""

from __future__ import annotations

import re

_PLATFORM = re.compile(r"[a-z0-9_-]+/[a-z0-9_.-]+(?:/[a-z0-9_.-]+)?")
_SYSTEMS = {"macos": "darwin"}
_ARCHITECTURES = {
    "i386": ("386", ""),
    "x86_64": ("amd64", ""),
    "x86-64": ("amd64", ""),
    "aarch64": ("arm64", ""),
    "armhf": ("arm", "v7"),
    "armel": ("arm", "v6"),
}
# By architecture, other names of its variants; the usual one has none.
_VARIANTS = {
    "amd64": {"v1": ""},
    "arm64": {"8": "", "v8": "", "v8.0": "", "9": "v9", "9.0": "v9", "v9.0": "v9"},
    "arm": {"": "v7", "5": "v5", "6": "v6", "7": "v7", "8": "v8"},
}


def normal_platform(text: str) -> str:
    """Return the one name of a platform. Raises ValueError if it is none."""
    if not _PLATFORM.fullmatch(text.lower()):
        raise ValueError(text)
    system, architecture, *rest = text.lower().split("/")
    variant = rest[0] if rest else ""
    architecture, own = _ARCHITECTURES.get(architecture, (architecture, ""))
    variant = own or variant
    variant = _VARIANTS.get(architecture, {}).get(variant, variant)
    return "/".join(filter(None, (_SYSTEMS.get(system, system), architecture, variant)))
