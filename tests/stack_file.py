"""Reads stack.yml: as it is, and with the settings that stand there in comments."""

from __future__ import annotations

import re
from typing import Any

import yaml
from stack.paths import REPOSITORY

PATH = REPOSITORY / "stack.yml"

# A comment that is an entry of a list or of a map, and not prose.
_SETTING = re.compile(r"^( *)# ((?:- )?[a-z][\w.-]*(?:: \S.*)?)$", re.MULTILINE)
_DEFAULT = re.compile(r"\$\{\w+:-([^}]*)\}")  # faas-cli's, for a variable that is not set


def text(*, all_options: bool) -> str:
    content = PATH.read_text()
    return _SETTING.sub(r"\1\2", content) if all_options else content


def function(*, all_options: bool) -> dict[str, Any]:
    document = yaml.safe_load(_DEFAULT.sub(r"\1", text(all_options=all_options)))
    found: dict[str, Any] = document["functions"]["builder-fn"]
    return found
