"""Starts functions, laid out as the template's image lays them out under /home/app.

Behind OpenFaaS' of-watchdog when this machine has it, else served by itself alone.
"""

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..install import fingerprint, ownership
from ..machine import Machine
from ..paths import Paths
from . import daemon, ports
from .daemon import Service

BUILDER = Path("builder-fn")
# Says that the function serves, whatever its daemon does: tests start it without one.
HEALTH = "/healthz"
# Longer than the function itself gives running builds (its shutdown_grace).
STOP_SECONDS = 35.0
# of-watchdog cuts requests off after 10 s unless told; the function's own build_timeout is 30m.
LONGEST_BUILD = "31m"
# Until Python has trapped it, SIGTERM waits.
HOLD_SIGTERM = ("env", "--block-signal=TERM")
# Fixed in of-watchdog 0.11.3, config/config.go.
WATCHDOG_METRICS_PORT = 8081


@dataclass(slots=True, kw_only=True)
class Function(Service):
    """The running function. As a context manager it stops at the end of the block."""

    url: str

    def stop(self) -> None:
        self.daemon.stop(STOP_SECONDS)


def start(  # noqa: PLR0913 - keywords
    machine: Machine,
    *,
    settings: Mapping[str, str],
    port: int | None = None,
    directory: Path | None = None,
    watchdog: Path | None = None,
    handler: Path = BUILDER,
) -> Function:
    """Start a copy of the function with these settings in its environment.

    On a free port and in a folder that goes with it unless told. It has builder-fn's packages.
    """
    folder = directory or machine.account.scratch(machine.paths, "function")
    ownership.keep(folder)
    home = folder / "app"
    lay_out(machine.paths, home, handler)
    number = port or ports.free()
    serve: list[str | Path] = [machine.venv / "bin" / "python", "index.py"]
    own = {"host": ports.LOOPBACK, "port": str(number), "PYTHONUNBUFFERED": "1"}
    command = serve
    upstream = number
    if watchdog:
        ports.require(WATCHDOG_METRICS_PORT, "metrics of of-watchdog, which has no other")
        upstream = ports.free()
        # A copy, since the account may not be able to read the folder it is in.
        command = [Path(shutil.copy(watchdog, folder / "of-watchdog"))]
        # It keeps a lock under a fixed name in the folder for temporary files.
        own["TMPDIR"] = str(machine.account.own(folder / "tmp"))
        own |= behind_watchdog(serve, upstream)
    started = daemon.launch(
        "function",
        command,
        account=machine.account,
        environment=machine.account.environment(**own, **settings),
        folder=home,
        log=folder / "function.log",
        belongings=() if directory else (folder,),
    )

    # The template listens before it has imported the function, so only an answer means ready.
    daemon.wait_until_ready(started, lambda: ports.answers_http(ports.LOOPBACK, upstream, HEALTH))
    daemon.wait_until_ready(started, lambda: ports.answers_http(ports.LOOPBACK, number, HEALTH))
    return Function(url=f"http://{ports.LOOPBACK}:{number}", daemon=started)


def behind_watchdog(serve: Iterable[str | Path], upstream: int) -> Mapping[str, str]:
    """Return of-watchdog's settings (its README.md, version 0.11.6).

    `port` is the watchdog's own; the template finds its port in `upstream_url`, as the watchdog
    does.
    """
    return {
        "mode": "http",
        "fprocess": " ".join(map(str, (*HOLD_SIGTERM, *serve))),
        "upstream_url": f"http://{ports.LOOPBACK}:{upstream}",
        "read_timeout": LONGEST_BUILD,
        "write_timeout": LONGEST_BUILD,
        "exec_timeout": LONGEST_BUILD,
        # The template writes the lock when the function answers.
        "suppress_lock": "true",
    }


def lay_out(paths: Paths, home: Path, handler: Path = BUILDER) -> None:
    """Lay out a fresh copy, since the account that runs the function may not read the clone.

    `handler` is a folder below the clone.
    """
    shutil.rmtree(home, ignore_errors=True)
    template = paths.repository / "template" / "python3-http"
    ignored = shutil.ignore_patterns(
        "__pycache__", "function", "Dockerfile", ".dockerignore", "template.yml"
    )
    shutil.copytree(template, home, ignore=ignored)
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(paths.repository / handler, home / "function", ignore=ignored)


def sources(paths: Paths) -> str:
    """Return a fingerprint of everything that is served."""
    template = fingerprint.of_folder(paths.repository / "template" / "python3-http")
    return fingerprint.of_folder(paths.repository / BUILDER, template)
