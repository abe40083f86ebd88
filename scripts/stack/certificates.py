"""Runs openssl. A throw-away authority, with certificates for a daemon and its client."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from . import ports

DAYS = "2"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """PEM files."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificates:
    authority: Pair
    server: Pair
    client: Pair


def make(folder: Path, *, host: str = ports.LOOPBACK, name: str = "buildkitd") -> Certificates:
    """Fills the folder. The server's certificate is good for the address and for the name."""
    authority = _pair(folder, "authority")
    subject = ["-subj", "/CN=builder-fn test authority"]
    constraints = ["-addext", "basicConstraints=critical,CA:TRUE"]
    _openssl("req", "-x509", *_new_key(authority), *subject, *constraints, "-days", DAYS)
    return Certificates(
        authority=authority,
        server=_signed(folder, "server", authority, f"subjectAltName=IP:{host},DNS:{name}"),
        client=_signed(folder, "client", authority, "extendedKeyUsage=clientAuth"),
    )


def _signed(folder: Path, name: str, authority: Pair, extension: str) -> Pair:
    pair = _pair(folder, name)
    request, extensions = folder / f"{name}.csr", folder / f"{name}.ext"
    extensions.write_text(extension + "\n")
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    _openssl("req", *key, "-keyout", str(pair.key), "-out", str(request), "-subj", f"/CN={name}")
    issuer = ["-CA", str(authority.certificate), "-CAkey", str(authority.key), "-CAcreateserial"]
    files = ["-in", str(request), "-out", str(pair.certificate), "-extfile", str(extensions)]
    _openssl("x509", "-req", *files, *issuer, "-days", DAYS)
    return pair


def _pair(folder: Path, name: str) -> Pair:
    return Pair(certificate=folder / f"{name}.pem", key=folder / f"{name}.key")


def _new_key(pair: Pair) -> list[str]:
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    return [*key, "-keyout", str(pair.key), "-out", str(pair.certificate)]


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)
