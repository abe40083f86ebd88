"""Disk I/O. Layers that were made once, with a note beside them of what they are."""

import json
from collections.abc import Iterable
from pathlib import Path

from . import oci

_NOTE = "layers.json"


def are_in(folder: Path) -> bool:
    """Return whether the folder is finished: the note comes last."""
    return (folder / _NOTE).exists()


def save(folder: Path, layers: Iterable[oci.Layer]) -> None:
    document = [
        {
            "file": layer.path.name,
            "digest": layer.digest,
            "diff_id": layer.diff_id,
            "size": layer.size,
        }
        for layer in layers
    ]
    (folder / _NOTE).write_text(json.dumps(document, indent=2))


def load(folder: Path) -> list[oci.Layer]:
    return [
        oci.Layer(
            path=folder / entry["file"],
            digest=entry["digest"],
            diff_id=entry["diff_id"],
            size=entry["size"],
        )
        for entry in json.loads((folder / _NOTE).read_text())
    ]
