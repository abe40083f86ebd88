"""Writes what a build leaves behind at its end: a summary, the files asked for, an exit code."""

from __future__ import annotations

import stat
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .command_line import Output, Progress
from .display import Style, summary
from .errors import UsageError
from .text import shown, to_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from .answer import Result
    from .display import Steps


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The end that was asked for. *dockerfile* is the text of the failed step's file, for quoting."""

    output: Output
    pushed: bool
    names: tuple[str, ...] = ()
    dockerfile: str = ""


def conclude(result: Result, steps: Steps, environ: Mapping[str, str], wanted: Wanted) -> int:
    """Say how the build ended, and return the exit code. Raises UsageError."""
    output = wanted.output
    if output.json:
        print(to_json(result.document))
    if not result.succeeded:
        style = Style.of(sys.stderr, environ)
        lines = summary.failure(result, steps, dockerfile=wanted.dockerfile, style=style)
        print("\n".join(lines), file=sys.stderr)
        return 1
    if output.progress is Progress.QUIET:
        if result.digest:
            print(result.digest)
    else:
        # Standard output is for JSON alone where there is any.
        log = sys.stderr if output.json or output.progress is Progress.RAWJSON else sys.stdout
        style = Style.of(log, environ)
        lines = summary.success(result, steps, pushed=wanted.pushed, style=style)
        print("\n".join(lines), file=log)
    _write_files(result, wanted)
    return 0


def remove_old_files(output: Output) -> None:
    """Remove what an earlier build wrote, so that no other one is taken for this one's. Raises UsageError.

    A device, a pipe or a link, such as /dev/stdout, stays.
    """
    for file in filter(None, (output.digest_file, output.metadata_file)):
        try:
            if stat.S_ISREG(file.lstat().st_mode):
                file.unlink()
        except FileNotFoundError:
            pass
        except OSError as exc:
            raise UsageError(f"{shown(file)} cannot be written: {exc.strerror}.") from exc


def _write_files(result: Result, wanted: Wanted) -> None:
    output = wanted.output
    if output.digest_file is not None:
        _write(output.digest_file, result.digest)
    if output.metadata_file is not None:
        # The first two by the names that docker buildx gives them.
        metadata = {
            "containerimage.digest": result.digest,
            "image.name": ",".join(wanted.names or (result.image,)),
            "buildId": result.build_id,
        }
        _write(
            output.metadata_file, to_json({key: value for key, value in metadata.items() if value})
        )


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as exc:
        raise UsageError(
            f"The image is built, but {shown(file)} cannot be written: {exc.strerror}."
        ) from exc
