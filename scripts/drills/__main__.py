"""The command line of scripts/drill."""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from stack.install import venv
from stack.paths import REPOSITORY, Paths

from . import own_network, siege, tenants


def main(arguments: Sequence[str]) -> int:
    options = _parser().parse_args(arguments)
    drills = {"siege": _siege, "tenants": _tenants, "redaction": _redaction}
    with tempfile.TemporaryDirectory(prefix="drill-") as folder:
        return drills[options.drill](options, Path(folder))


def _python(folder: Path) -> Path:
    """Return a Python with the function's packages."""
    paths = Paths()
    requirements = venv.function_requirements(paths)
    return venv.ensure(paths, "function", requirements, log=folder / "pip.log") / "bin" / "python"


def _tenants(options: argparse.Namespace, folder: Path) -> int:
    if not options.buildkit:
        print(
            'error: no buildkitd: eval "$(./scripts/up --env)", or say --buildkit.', file=sys.stderr
        )
        return 2
    found = tenants.run(
        folder,
        buildkit=options.buildkit,
        python=_python(folder),
        rounds=options.rounds,
        builds=options.builds,
    )
    grown = tenants.change(found)
    print(f"{tenants.table(found)}\n\nThe 95th percentile grew by {grown:.1%}.")
    return 0 if grown < tenants.MOST_CHANGE else 1


def _siege(options: argparse.Namespace, folder: Path) -> int:
    python = _python(folder)
    ways: dict[str, Path | None] = {"alone": None}
    if watchdog := options.watchdog or _watchdog(folder):
        ways["behind of-watchdog"] = watchdog
    results = []
    with own_network.entered():
        for way, found in ways.items():
            ground = siege.Ground(folder / way.replace(" ", "-"), python=python, watchdog=found)
            for attack in siege.ATTACKS:
                name = attack.__name__
                if options.only and name not in options.only:
                    continue
                print(f"  {way}: {name.replace('_', ' ')} ...", file=sys.stderr, flush=True)
                results.append((way, attack(ground)))
    print(siege.table(results))
    return 0 if all(result.held for _, result in results) else 1


def _redaction(_options: argparse.Namespace, folder: Path) -> int:
    command = [str(_python(folder)), "-B", "-m", "drills.redaction"]
    return subprocess.run(command, check=False).returncode


def _watchdog(folder: Path) -> Path | None:
    """Return OpenFaaS' own where this machine has it, else the stand-in of the tests, else nothing."""
    for name in ("of-watchdog", "fwatchdog"):
        if found := shutil.which(name):
            return Path(found)
    if not (go := shutil.which("go")):
        return None
    built = folder / "of-watchdog"
    sources = REPOSITORY / "tests" / "stand_in_watchdog"
    subprocess.run([go, "build", "-o", str(built), "."], cwd=sources, check=True)
    return built


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/drill",
        description="Do to a real function what it must stand, and print the figures. Takes minutes, "
        "loopback and some 2 GiB of memory.",
    )
    drills = parser.add_subparsers(dest="drill", required=True)
    front = drills.add_parser(
        "siege", help="attack it as somebody without a key would; needs no daemon and no root"
    )
    front.add_argument(
        "--watchdog", type=Path, metavar="FILE", help="the of-watchdog to attack it behind, too"
    )
    names = [attack.__name__ for attack in siege.ATTACKS]
    front.add_argument("--only", nargs="*", choices=names, metavar="ATTACK", help=", ".join(names))
    shared = drills.add_parser(
        "tenants",
        help="have one tenant send twenty times what it may, and see how long another waits",
    )
    shared.add_argument(
        "--buildkit",
        default=os.environ.get("BUILDKIT_HOST"),
        metavar="ADDRESS",
        help="a running buildkitd; $BUILDKIT_HOST unless told",
    )
    shared.add_argument("--rounds", type=int, default=3, metavar="N", help="3 unless told")
    shared.add_argument(
        "--builds",
        type=int,
        default=6,
        metavar="N",
        help="of each caller in a turn; 6 unless told",
    )
    drills.add_parser(
        "redaction",
        help="search a MiB of output for secrets that are hard to look for; needs no daemon and no root",
    )
    drills.add_parser(
        "daemons",
        help="kill, silence, cut off and restart three daemons under builds; takes ten minutes, root and "
        "the stack of ./scripts/test. All arguments are pytest's",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
