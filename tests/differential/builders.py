"""One context, built twice on one daemon: by buildctl from a folder, by our client from a tar of it.

Both build without cache and with a fixed creation time, so that equal digests mean equal bytes sent:
names, order, kinds, modes, times and contents. Folders that a COPY itself creates get the time of day;
rewrite-timestamp takes those back to the fixed time, and leaves the earlier ones of the context alone.
"""

from __future__ import annotations

import io
import json
import os
import secrets
import subprocess
import tarfile
import time
from typing import TYPE_CHECKING

from function.buildkit import Client, SolveFailed, SolveSpec, session_services
from function.context.ignore_file import local_trees, with_ignore_file
from function.registry.docker_config import RegistryAuth
from function.request.archive import Limits
from function.request.bundle import unpack

if TYPE_CHECKING:
    from pathlib import Path

    from function.context.shared_key import SharedKeys

CONFIG = {"image": "differential:1"}
_ATTRS = {"no-cache": "", "build-arg:SOURCE_DATE_EPOCH": "1700000000"}

FAILED = "failed"

_FORGET_SECONDS = 30.0


def ours(client: Client, keys: SharedKeys, folder: Path, name: str = "") -> str:
    """Return the image's digest, or FAILED. Builds of one *name* share what the daemon has of it."""
    bundle = unpack(memoryview(tar_of(folder)), Limits())
    offered = with_ignore_file(bundle.context)
    key = keys.choose(name or secrets.token_hex(8), offered)
    spec = SolveSpec(
        ref=secrets.token_hex(16),
        frontend_attrs=_ATTRS,
        names=("docker.io/library/differential:1",),
        exporter_attrs={"push": "false", "rewrite-timestamp": "true"},
    )
    services = session_services(local_trees(offered, bundle.context), RegistryAuth().credentials)
    solve = client.solve(spec, services, shared_key=key)
    try:
        for _ in solve:
            pass
        return solve.result().digest
    except SolveFailed:
        return FAILED
    finally:
        solve.close()


def buildctls(address: str, folder: Path, scratch: Path) -> str:
    """Return the image's digest, or FAILED."""
    metadata = scratch / "metadata.json"
    attrs = [f"--opt={name}={value}" for name, value in _ATTRS.items()]
    command = [
        "buildctl", f"--addr={address}", "build", "--frontend=dockerfile.v0",
        f"--local=context={folder}", f"--local=dockerfile={folder}", *attrs,
        "--output=type=image,name=differential:1,push=false,rewrite-timestamp=true",
        f"--metadata-file={metadata}",
    ]  # fmt: skip
    finished = subprocess.run(command, capture_output=True, check=False, timeout=60)
    if finished.returncode != 0:
        return FAILED
    return str(json.loads(metadata.read_text())["containerimage.digest"])


def forget_contexts(address: str) -> None:
    """Have the daemon keep nothing of what was sent to it.

    Else it would take an earlier context's file for this one's where size and time are the same, and an
    earlier folder's time: buildctl does not prevent that.
    """
    contexts = ["buildctl", f"--addr={address}", "--timeout=60"]
    which = "--filter=type==source.local"
    deadline = time.monotonic() + _FORGET_SECONDS
    # What the last build used is its own for a moment after its end, and is then passed over.
    while time.monotonic() < deadline:
        subprocess.run([*contexts, "prune", "--all", which], capture_output=True, check=True)
        left = [*contexts, "du", "--format={{json .}}", which]
        if not json.loads(subprocess.run(left, capture_output=True, check=True).stdout):
            return
        time.sleep(0.05)
    raise TimeoutError("The daemon does not let go of what was sent to it.")


def tar_of(folder: Path) -> bytes:
    """Return *folder* as the context of a build request."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        config = json.dumps(CONFIG).encode()
        member = tarfile.TarInfo("com.openfaas.docker.config")
        member.size = len(config)
        tar.addfile(member, io.BytesIO(config))
        tar.add(folder, arcname="context", filter=lambda member: _exact(member, folder))
    return buffer.getvalue()


def _exact(member: tarfile.TarInfo, folder: Path) -> tarfile.TarInfo:
    """Add the time to the nanosecond, and the attributes, as `tar --xattrs --format=posix` has them."""
    place = folder / member.name.removeprefix("context").lstrip("/")
    seconds, rest = divmod(place.lstat().st_mtime_ns, 1_000_000_000)
    member.pax_headers = {"mtime": f"{seconds}.{rest:09}"}
    if not (place.is_symlink() or place.is_fifo() or place.is_char_device()):
        for name in os.listxattr(place):
            keyword = name.replace("%", "%25").replace("=", "%3D")
            value = os.getxattr(place, name).decode("utf-8", "surrogateescape")
            member.pax_headers[f"SCHILY.xattr.{keyword}"] = value
    return member
