"""Runs openssl. A throw-away authority, with certificates for a daemon and its client."""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from . import ports

DAYS = "2"
_CURVE = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")


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
    """Fill the folder. The server's certificate is good for the address and for the name."""
    authority = self_signed(folder, "authority")
    return Certificates(
        authority=authority,
        server=_signed(folder, "server", authority, f"subjectAltName=IP:{host},DNS:{name}"),
        client=_signed(folder, "client", authority, "extendedKeyUsage=clientAuth"),
    )


def self_signed(folder: Path, name: str, *, key: Sequence[str] = _CURVE) -> Pair:
    """Make an authority of its own. *key* are openssl's options for it."""
    pair = _pair(folder, name)
    files = ["-nodes", "-keyout", str(pair.key), "-out", str(pair.certificate)]
    subject = ["-subj", f"/CN=builder-fn test {name}"]
    constraints = ["-addext", "basicConstraints=critical,CA:TRUE"]
    _openssl("req", "-x509", *key, *files, *subject, *constraints, "-days", DAYS)
    return pair


def expired(folder: Path, authority: Pair, *, host: str = ports.LOOPBACK) -> Pair:
    """Make a server's certificate that was good for the address on one day in 2020."""
    pair, request, extensions = _requested(folder, "expired", f"subjectAltName=IP:{host}")
    # `openssl x509` has chosen dates since 3.4 only; `openssl ca` wants a book-keeping of its own.
    (folder / "index.txt").touch()
    settings = folder / "ca.cnf"
    settings.write_text(
        f"[ca]\ndefault_ca=own\n[own]\ndatabase={folder}/index.txt\nnew_certs_dir={folder}\n"
        "rand_serial=yes\ndefault_md=sha256\npolicy=any\n[any]\ncommonName=supplied\n"
    )
    issuer = ["-cert", str(authority.certificate), "-keyfile", str(authority.key)]
    dates = ["-startdate", "20200101000000Z", "-enddate", "20200102000000Z"]
    files = ["-in", str(request), "-out", str(pair.certificate), "-extfile", str(extensions)]
    _openssl("ca", "-batch", "-notext", "-config", str(settings), *files, *issuer, *dates)
    return pair


def _signed(folder: Path, name: str, authority: Pair, extension: str) -> Pair:
    pair, request, extensions = _requested(folder, name, extension)
    issuer = ["-CA", str(authority.certificate), "-CAkey", str(authority.key), "-CAcreateserial"]
    files = ["-in", str(request), "-out", str(pair.certificate), "-extfile", str(extensions)]
    _openssl("x509", "-req", *files, *issuer, "-days", DAYS)
    return pair


def _requested(folder: Path, name: str, extension: str) -> tuple[Pair, Path, Path]:
    """Make a pair whose certificate is yet to be signed, the request for it, and its extensions."""
    pair = _pair(folder, name)
    request, extensions = folder / f"{name}.csr", folder / f"{name}.ext"
    extensions.write_text(extension + "\n")
    files = ["-nodes", "-keyout", str(pair.key), "-out", str(request)]
    _openssl("req", *_CURVE, *files, "-subj", f"/CN={name}")
    return pair, request, extensions


def _pair(folder: Path, name: str) -> Pair:
    return Pair(certificate=folder / f"{name}.pem", key=folder / f"{name}.key")


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)
