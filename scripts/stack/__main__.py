"""The command line of scripts/up and scripts/down."""

import argparse
import os
import shlex
import sys
from collections.abc import Sequence

from . import console
from .errors import StackError
from .install import mount_root
from .paths import Paths
from .running import recorded

# Each takes some 50 MiB of memory and a cache of its own on the disk.
MOST_DAEMONS = 9


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
    wanted = recorded.Ports(
        registry=options.registry_port,
        function=options.port,
        openfaas=options.openfaas_port,
    )
    if options.env and not options.no_process_sandbox:
        found = recorded.find(paths, wanted, openfaas=options.openfaas, daemons=options.daemons)
        if found:
            _print(found)
            return 0
    from . import commands  # noqa: PLC0415 - takes longer than the record does

    asked = commands.Asked(
        ports=wanted,
        openfaas=options.openfaas,
        daemons=options.daemons,
        unsafe_secrets=options.no_process_sandbox,
    )
    if options.env:
        _print(commands.start(paths, asked))
    else:
        commands.up(paths, asked)
    return 0


def _down(paths: Paths) -> int:
    from . import commands  # noqa: PLC0415 - as above

    commands.down(paths)
    return 0


def _print(started: recorded.Running) -> None:
    for name, value in started.environment().items():
        print(f"export {name}={shlex.quote(value)}")


def _parser() -> argparse.ArgumentParser:
    defaults = recorded.DEFAULT_PORTS
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
    up.add_argument(
        "--daemons",
        type=_count,
        metavar="N",
        help="how many buildkitds, each with a cache of its own; as many as run, or 1",
    )
    up.add_argument(
        "--no-process-sandbox",
        action="store_true",
        help="take build secrets although this kernel lets every step read them",
    )
    up.add_argument(
        "--openfaas-port", type=int, help=f"the gateway's, at first {defaults.openfaas}"
    )
    commands.add_parser(
        "down", prog="./scripts/down", description="Stops exactly what ./scripts/up started."
    )
    return parser


def _count(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= MOST_DAEMONS:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 to {MOST_DAEMONS}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
