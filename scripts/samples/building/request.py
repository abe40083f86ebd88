"""Makes what builder-fn is sent: a tar of the build's config, and its context."""

import io
import json
import secrets
import tarfile
import time
from pathlib import Path

_TEMPLATE = Path(__file__).parent / "template"


def build_request(image: str, handler: bytes) -> bytes:
    """Return the template with *handler* as its handler.py. Compressed: a queue takes 256,000 bytes."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        # With a time and a word of its own nobody can order the same build again later (request_max_age).
        config = {"image": image, "time": time.time(), "nonce": secrets.token_hex(16)}
        _add(tar, "com.openfaas.docker.config", json.dumps(config).encode())
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
