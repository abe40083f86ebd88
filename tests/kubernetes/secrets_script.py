"""Runs scripts/kubernetes/secrets, and reads the Secrets that it prints."""

from __future__ import annotations

import base64
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import yaml

from .manifests import SECRETS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from .manifests import Manifest


def run(folder: Path, *options: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-B", SECRETS, folder, *options],
        env=None if path is None else {"PATH": path},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def printed(folder: Path, *options: str) -> list[Manifest]:
    ended = run(folder, *options)
    assert ended.returncode == 0, ended.stderr
    return list(yaml.safe_load_all(ended.stdout))


def names_in(certificate: Path) -> list[str]:
    """Return the hosts that a certificate is for."""
    asked = subprocess.run(
        ["openssl", "x509", "-in", certificate, "-noout", "-ext", "subjectAltName"],
        capture_output=True,
        text=True,
        check=True,
    )
    return re.findall(r"DNS:([^,\s]+)", asked.stdout)


def mounted(secrets: Iterable[Manifest]) -> Mapping[str, bytes]:
    """Return the files of a volume that projects all of them, as OpenFaaS gives a function its secrets."""
    return {
        name: base64.b64decode(value)
        for secret in secrets
        for name, value in secret["data"].items()
    }
