"""Makes what builder-fn is sent: a tar of the build's config, and its context."""

import io
import json
import tarfile
from pathlib import Path

_TEMPLATE = Path(__file__).parent / "template"


def build_request(image: str, handler: bytes) -> bytes:
    """The template with *handler* as its handler.py. Compressed: a queue takes 256,000 bytes."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        _add(tar, "com.openfaas.docker.config", json.dumps({"image": image}).encode())
        tar.add(_TEMPLATE, "context", filter=_without_sample)
        _add(tar, "context/function/handler.py", handler)
        _add(tar, "context/function/requirements.txt", b"")
    return buffer.getvalue()


def _without_sample(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if member.name == "context/function" else member


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))
