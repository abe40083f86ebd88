"""Disk and network I/O. The base images that functions are built from, in the local registry.

Where a public registry answers, buildkitd takes images from it and nothing is made here. Where it
does not, images of the same names are made from this machine's Debian packages.
"""

import os
import shutil
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..daemons.buildkitd import PUBLIC_REGISTRIES
from ..install import debian, fingerprint
from ..paths import Paths
from . import kept_layers, oci, rootfs
from .registry_client import RegistryClient

# Bumped when what this module makes changes.
RECIPE = "2"
SUITE = "trixie"
DEBIAN_TAGS = ("trixie-slim", "trixie", "stable-slim")
PYTHON_PACKAGES = ("python3", "python3-pip", "python3-venv")
PYTHON_TAGS = ("3.13-slim-trixie", "3.13-slim", "3.13", "3-slim", "slim")
WATCHDOG_TAG = "0.11.3"

CA_BUNDLE = "etc/ssl/certs/ca-certificates.crt"

ANSWER_SECONDS = 5.0
# The address behind an image name that says docker.io.
_HOSTS = {"docker.io": "registry-1.docker.io"}

SEARCH_PATH = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseImage:
    repository: str
    tags: Sequence[str]
    layers: Sequence[oci.Layer]
    process: oci.Process


def unreachable(registries: Iterable[str] = PUBLIC_REGISTRIES) -> tuple[str, ...]:
    """Return the public registries that do not answer from here and need a mirror."""
    return tuple(name for name in registries if not _answers(_HOSTS.get(name, name)))


def push(images: Iterable[BaseImage], registry: RegistryClient) -> None:
    """Upload what the registry lacks."""
    for image in images:
        registry.push(
            image.repository,
            image.tags,
            layers=image.layers,
            process=image.process,
            architecture=architecture(),
        )


def architecture() -> str:
    return oci.ARCHITECTURES[os.uname().machine]


def debian_and_python(paths: Paths, log: Path, working: Callable[[str], None]) -> list[BaseImage]:
    """Return Debian, and Python on top of it, made once and kept."""
    bundle = _ca_bundle()
    folder = paths.images / fingerprint.of_files([bundle], RECIPE, SUITE, _pip_settings())
    if not kept_layers.are_in(folder):
        working(f"making Debian {SUITE} and Python from Debian packages, about a minute")
        _make_layers(folder, bundle, log)
    layers = kept_layers.load(folder)
    return [
        BaseImage(
            repository="library/debian",
            tags=DEBIAN_TAGS,
            layers=layers[:1],
            process=oci.Process(cmd=("bash",), env=SEARCH_PATH),
        ),
        BaseImage(
            repository="library/python",
            tags=PYTHON_TAGS,
            layers=layers,
            process=oci.Process(cmd=("python3",), env={**SEARCH_PATH, "LANG": "C.UTF-8"}),
        ),
    ]


def watchdog(paths: Paths, program: Path) -> BaseImage:
    """Return the image that functions copy /fwatchdog from."""
    folder = paths.images / f"watchdog-{fingerprint.of_files([program], RECIPE)}"
    if not kept_layers.are_in(folder):
        folder.mkdir(parents=True, exist_ok=True)
        layer = rootfs.single_file_layer(program, "fwatchdog", folder / "watchdog.tar.gz")
        kept_layers.save(folder, [layer])
    return BaseImage(
        repository="openfaas/of-watchdog",
        tags=(WATCHDOG_TAG,),
        layers=kept_layers.load(folder),
        process=oci.Process(entrypoint=("/fwatchdog",), env=SEARCH_PATH),
    )


def _make_layers(folder: Path, bundle: Path, log: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    root = folder / "root"
    root.mkdir(parents=True)
    try:
        with log.open("ab") as output:
            rootfs.debootstrap(SUITE, debian.mirror(), root, output)
            # Builds reach the network as this machine does, so they trust the authorities that it trusts.
            shutil.copyfile(bundle, root / CA_BUNDLE)
            lower = rootfs.layer(root, folder / "debian.tar.gz")
            marker = rootfs.change_marker(root)
            rootfs.install(root, PYTHON_PACKAGES, output)
            _like_the_public_python_image(root)
            upper = rootfs.layer(root, folder / "python.tar.gz", newer_than=marker)
    finally:
        shutil.rmtree(root, ignore_errors=True)
    kept_layers.save(folder, [lower, upper])


def _like_the_public_python_image(root: Path) -> None:
    for refusal in root.glob("usr/lib/python3*/EXTERNALLY-MANAGED"):
        refusal.unlink()
    (root / "usr/local/bin/python").symlink_to("/usr/bin/python3")
    (root / "etc/pip.conf").write_text(_pip_settings())


def _pip_settings() -> str:
    """Return the index that this machine's pip uses, which images need as much."""
    names = ("index-url", "extra-index-url", "trusted-host")
    asked = {name: _pip_config(name) for name in names}
    lines = [f"{name} = {value}" for name, value in asked.items() if value]
    return "\n".join(["[global]", f"cert = /{CA_BUNDLE}", *lines]) + "\n"


def _pip_config(name: str) -> str:
    if value := os.environ.get("PIP_" + name.upper().replace("-", "_")):
        return value
    asked = subprocess.run(
        ["python3", "-m", "pip", "config", "get", f"global.{name}"],
        capture_output=True,
        text=True,
        check=False,
    )
    return asked.stdout.strip()


def _ca_bundle() -> Path:
    named = os.environ.get("SSL_CERT_FILE", "")
    return Path(named) if named and Path(named).exists() else Path("/") / CA_BUNDLE


def _answers(host: str) -> bool:
    request = urllib.request.Request(f"https://{host}/v2/")
    context = ssl.create_default_context()
    try:
        with urllib.request.urlopen(request, timeout=ANSWER_SECONDS, context=context):  # noqa: S310 - https
            return True
    except urllib.error.HTTPError as exc:
        # A registry asks strangers for a token (distribution-spec v1.1, "Determining Support").
        return exc.code == 401
    except OSError:
        return False
