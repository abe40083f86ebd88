"""Reads scripts/kubernetes/README.md: the commands that it tells its readers to run."""

from __future__ import annotations

import re

from .manifests import FOLDER

_BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SECTION = re.compile(r"^## (.*)$", re.MULTILINE)


def sections() -> dict[str, list[str]]:
    """Return each section's blocks of commands, as they stand there, by its title."""
    _, *parts = _SECTION.split((FOLDER / "README.md").read_text())
    return {
        title: _BLOCK.findall(text) for title, text in zip(parts[::2], parts[1::2], strict=True)
    }
