"""The command line of scripts/up and scripts/down."""

import argparse
import os
import shlex
import sys
import time
from collections.abc import Sequence

from . import console
from .errors import StackError
from .install import mount_root, preparation
from .paths import Paths
from .running import record, sample
from .running import whole as running


def main(arguments: Sequence[str]) -> int:
    os.umask(0o022)  # the account must be able to read what we install
    paths = Paths()
    try:
        mount_root.leave_chroot()
        options = _parser().parse_args(arguments)
        return _down(paths) if options.command == "down" else _up(paths, options)
    except StackError as exc:
        console.error(str(exc))
        return 1
    except KeyboardInterrupt:
        console.error("interrupted; run it again to go on, or ./scripts/down to stop what runs.")
        return 130


def _up(paths: Paths, options: argparse.Namespace) -> int:
    since = time.monotonic()
    console.title("Starting the stack")
    wanted = running.Ports(
        registry=options.registry_port,
        buildkit=options.buildkit_port,
        function=options.port,
        openfaas=options.openfaas_port,
    )
    with record.locked(paths):
        openfaas = options.openfaas or "gateway" in running.names(paths)
        prepared = preparation.prepare(paths, openfaas=openfaas)
        started = running.ensure(prepared, wanted, openfaas=openfaas)
    if options.env:
        for name, value in started.environment().items():
            print(f"export {name}={shlex.quote(value)}")
        return 0
    console.title("Building the template's sample function")
    answer = sample.build(prepared.machine, started)
    tar = sample.request(prepared.machine, started)
    console.title(
        f"\nUp after {time.monotonic() - since:.0f} s. The function answered:\n\n{answer}\n"
    )
    console.title(f"The same build with curl:\n\n  {sample.curl(started, tar)}\n")
    console.title('Addresses for your shell:  eval "$(./scripts/up --env)"')
    console.title("Stop everything:           ./scripts/down")
    return 0


def _down(paths: Paths) -> int:
    with record.locked(paths):
        stopped = 0
        for name, entry in running.stop(paths):
            console.step(name, f"stopped (pid {entry.pid})")
            stopped += 1
    if not stopped:
        console.title("Nothing is running.")
    return 0


def _parser() -> argparse.ArgumentParser:
    defaults = running.DEFAULT_PORTS
    parser = argparse.ArgumentParser(prog="scripts")
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser(
        "up",
        prog="./scripts/up",
        description="Starts a registry, a rootless buildkitd and the function, and builds the "
        "sample function. Run again, it keeps what runs and replaces what changed.",
    )
    up.add_argument("--env", action="store_true", help="print export lines and build nothing")
    up.add_argument("--openfaas", action="store_true", help="start OpenFaaS in front of it, too")
    up.add_argument("--port", type=int, help=f"the function's, at first {defaults.function}")
    up.add_argument("--registry-port", type=int, help=f"at first {defaults.registry}")
    up.add_argument("--buildkit-port", type=int, help=f"at first {defaults.buildkit}")
    up.add_argument(
        "--openfaas-port", type=int, help=f"the gateway's, at first {defaults.openfaas}"
    )
    commands.add_parser(
        "down", prog="./scripts/down", description="Stops exactly what ./scripts/up started."
    )
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
