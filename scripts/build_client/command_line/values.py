"""Pure. Reads single arguments of a command line."""

from __future__ import annotations

import argparse
import csv
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..errors import UsageError
from ..text import shown

if TYPE_CHECKING:
    from collections.abc import Mapping

_LONGEST: Final = 1e6  # seconds, more than eleven days: sockets take no wait of any length


def label(text: str) -> tuple[str, str]:
    """Read K=V, or K alone for a label without a value, as docker build has it."""
    name, _, value = text.partition("=")
    if not name:
        raise UsageError(f'--label takes NAME=VALUE, not "{shown(text)}".')
    return name, value


def build_arg(text: str, environ: Mapping[str, str]) -> tuple[str, str]:
    """Read K=V, or K alone for the environment's value, as docker build has it."""
    name, equals, value = text.partition("=")
    if not name:
        raise UsageError(f'--build-arg takes NAME=VALUE, not "{shown(text)}".')
    if not equals and name not in environ:
        raise UsageError(
            f"--build-arg {shown(name)} has no value, and the environment has no {shown(name)}."
        )
    return name, value if equals else environ[name]


def build_secret(text: str) -> tuple[str, Path]:
    """Read NAME=FILE."""
    name, _, file = text.partition("=")
    if not (name.isprintable() and name and file):
        raise UsageError(f"--build-secret takes NAME=FILE, not {text!a}.")
    return name, Path(file)


def secret(text: str, environ: Mapping[str, str]) -> tuple[str, Path | bytes]:
    """Read docker build's `[type=file|env,]id=NAME[,src=FILE|,env=VARIABLE]`.

    With an id alone it is the variable of that name, or else the file of that name.
    """
    fields = _fields(text)
    name, kind = fields.get("id", ""), fields.get("type", "")
    file, variable = fields.get("src", ""), fields.get("env", "")
    if not (name.isprintable() and name) or (file and variable) or kind not in {"", "file", "env"}:
        raise _not_a_secret(text)
    if kind == "env":  # where src names the variable as well
        variable, file = variable or file or name, ""
    if not file and not variable and not kind and name in environ:
        variable = name
    if not variable:
        return name, Path(file or name)
    if variable not in environ:
        raise UsageError(
            f"--secret {shown(name)}: the environment has no {shown(variable)}: set it, or name another."
        )
    return name, os.fsencode(environ[variable])


def callback_url(text: str) -> str:
    """Read an address that goes into a header."""
    if not (text.isascii() and text.isprintable()) or " " in text:
        raise argparse.ArgumentTypeError("takes a URL in ASCII, without spaces")
    return text


def natural(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise argparse.ArgumentTypeError("takes a whole number")
    return int(text)


def seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.0 < value <= _LONGEST:
        raise argparse.ArgumentTypeError(f"takes a number above 0, and at most {_LONGEST:.0f}")
    return value


def _fields(text: str) -> dict[str, str]:
    try:
        (row,) = csv.reader([text], strict=True)
    except (csv.Error, ValueError) as exc:
        raise _not_a_secret(text) from exc
    fields: dict[str, str] = {}
    for part in row:
        key, equals, value = part.partition("=")
        key = {"source": "src"}.get(key.lower(), key.lower())
        if not equals or key not in {"id", "src", "env", "type"}:
            raise _not_a_secret(text)
        fields[key] = value
    return fields


def _not_a_secret(text: str) -> UsageError:
    return UsageError(f"--secret takes id=NAME,src=FILE or id=NAME,env=VARIABLE, not {text!a}.")
