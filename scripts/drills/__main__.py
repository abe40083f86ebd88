"""The command line of scripts/drill."""

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from stack.install import venv
from stack.paths import REPOSITORY, Paths

from . import siege


def main(arguments: Sequence[str]) -> int:
    options = _parser().parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="drill-") as folder:
        return _siege(options, Path(folder))


def _siege(options: argparse.Namespace, folder: Path) -> int:
    paths = Paths()
    requirements = venv.function_requirements(paths)
    python = venv.ensure(paths, "function", requirements, log=folder / "pip.log") / "bin" / "python"
    ways: dict[str, Path | None] = {"alone": None}
    if watchdog := options.watchdog or _watchdog(folder):
        ways["behind of-watchdog"] = watchdog
    results = []
    for way, found in ways.items():
        ground = siege.Ground(folder / way.replace(" ", "-"), python=python, watchdog=found)
        for attack in siege.ATTACKS:
            if options.only and attack.__name__ not in options.only:
                continue
            print(f"  {way}: {attack.__name__.replace('_', ' ')} ...", file=sys.stderr, flush=True)
            results.append((way, attack(ground)))
    print(siege.table(results))
    return 0 if all(result.held for _, result in results) else 1


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
        "loopback and some 2 GiB of memory; no daemon, and no root.",
    )
    drills = parser.add_subparsers(dest="drill", required=True)
    front = drills.add_parser("siege", help="attack it as somebody without a key would")
    front.add_argument(
        "--watchdog", type=Path, metavar="FILE", help="the of-watchdog to attack it behind, too"
    )
    names = [attack.__name__ for attack in siege.ATTACKS]
    front.add_argument("--only", nargs="*", choices=names, metavar="ATTACK", help=", ".join(names))
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
