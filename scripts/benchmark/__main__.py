"""The command line of scripts/bench."""

import argparse
import json
import os
import platform
import random
import sys
import time
from collections.abc import Collection, Sequence
from contextlib import ExitStack
from pathlib import Path

from stack.install.programs import BUILDKIT_VERSION
from stack.paths import REPOSITORY

from . import folder, parts, report, several_daemons
from .contenders import Buildctl, Contender, Server
from .contexts import ContextSource
from .errors import BenchmarkError
from .figures import Floor, Summary
from .footprint import Footprints
from .parts import Parts
from .report import Result
from .scenarios import BARE, BUILDCTL, CONTENDERS, NAMES, TENANT, TIMED, Timed
from .several_daemons import Row
from .state import State
from .timing import Course, Measured


def main(arguments: Sequence[str]) -> int:
    options = _parser().parse_args(arguments)
    options.only = options.only or NAMES
    since = time.monotonic()
    try:
        results, rows, state = _measure(options)
    except BenchmarkError as exc:
        print(f"error: {exc}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("error: interrupted; all that was started is stopped.", file=sys.stderr)
        return 130
    conditions = _conditions(options, state, time.monotonic() - since)
    if results:
        print(report.table(results))
    if rows:
        print("\n" + several_daemons.table(rows))
    print("\n" + ", ".join(f"{name}: {value}" for name, value in conditions.items()))
    if options.json:
        document = report.document(results, conditions)
        options.json.write_text(json.dumps(document, indent=2) + "\n")
    return 0


def _measure(options: argparse.Namespace) -> tuple[list[Result], list[Row], State]:
    source = ContextSource(
        sample=folder.read(REPOSITORY / "template" / "python3-http"),
        seed=random.SystemRandom().getrandbits(64),
        started=int(time.time()),
    )
    asked = State(options.state) if options.state else None
    with parts.running(os.environ, asked) as found:
        timed = _timed(options, found, source)
        results = [*timed, *_footprints(options, found, source)]
        return results, _several_daemons(options, found, source), found.daemon.state


def _several_daemons(options: argparse.Namespace, found: Parts, source: ContextSource) -> list[Row]:
    if several_daemons.NAME not in options.only:
        return []
    _say("several daemons")
    rows = []
    with ExitStack() as started:
        for row in several_daemons.measure(found.pool(started), source, options.rounds):
            rows.append(row)
            _say(f"  {row.name}: {row.figure}")
    return rows


def _timed(options: argparse.Namespace, found: Parts, source: ContextSource) -> list[Result]:
    wanted = [scenario for scenario in TIMED if scenario.name in options.only]
    course = Course(source=source, daemon=found.daemon)
    results = []
    with ExitStack() as stack:
        names = {name for scenario in wanted for name in scenario.contenders}
        contenders = _contenders(options.contenders, names, found, stack)
        for scenario in wanted:
            rounds = options.rounds or scenario.rounds
            _say(f"{scenario.title}: {rounds} rounds")
            taking_part = {
                name: each for name, each in contenders.items() if name in scenario.contenders
            }
            results.append(_result(scenario, course.measure(scenario, taking_part, rounds)))
            _say_result(results[-1])
    return results


def _result(scenario: Timed, measured: dict[str, Measured]) -> Result:
    bare = measured.pop(BARE, None)
    floor = None
    if bare:
        floor = Floor(daemon=Summary.of(bare.daemon), client=Summary.of(bare.client))
    return Result(scenario, {name: each.figures() for name, each in measured.items()}, floor)


def _footprints(options: argparse.Namespace, found: Parts, source: ContextSource) -> list[Result]:
    footprints = Footprints(source=source, daemon=found.daemon, secret=found.secret)
    services = {
        name: service for name, service in found.services.items() if name in options.contenders
    }
    if not services:
        return []
    measured = footprints.measure(options.only, services, options.rounds)
    results = [Result(footprint, figures) for footprint, figures in measured.items()]
    for result in results:
        _say_result(result)
    return results


def _contenders(
    chosen: Sequence[str], wanted: Collection[str], found: Parts, stack: ExitStack
) -> dict[str, Contender]:
    """Start those that were *chosen*, and those in no column of their own, as far as they are *wanted*."""
    contenders: dict[str, Contender] = {}
    for name in (*chosen, BARE, TENANT):
        if name not in wanted:
            continue
        if name == BUILDCTL:
            contenders[name] = Buildctl(
                program=found.daemon.buildctl,
                buildkit=found.daemon.address,
                scratch=found.scratch / "contexts",
            )
        elif url := found.given.get(name):
            contenders[name] = Server(name=name, url=url, secret=found.secret, pid=None)
        else:
            started = stack.enter_context(found.services[name].start())
            contenders[name] = Server(
                name=name,
                url=started.url,
                secret=found.tenant_secret if name == TENANT else found.secret,
                pid=started.daemon.pid,
            )
    return contenders


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _say_result(result: Result) -> None:
    for name, figures in result.figures.items():
        ratio = result.ratio(name)
        compared = "" if ratio is None or name == BUILDCTL else f", {ratio:.2f} of buildctl"
        cpu = f", CPU {1000 * figures.cpu.median:.1f} ms" if figures.cpu else ""
        faults = f", {figures.faults.median:.0f} page faults" if figures.faults else ""
        title = f"{result.scenario.name}, {name}"
        _say(f"  {title}: {figures.value.median:.3f}{compared}{cpu}{faults}")


def _conditions(options: argparse.Namespace, state: State, seconds: float) -> dict[str, object]:
    return {
        "state": state.value,
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "seconds": round(seconds),
        "processors": os.cpu_count(),
        "load": "{:.1f} {:.1f} {:.1f}".format(*os.getloadavg()),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "buildkit": BUILDKIT_VERSION,
        "contenders": " ".join(options.contenders),
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="./scripts/bench",
        description="Measures the function against buildctl and against a builder made the usual "
        "way in Go, in turn, on one daemon. Starts all it needs; uses a running stack instead when "
        'the environment names one: eval "$(./scripts/up --env)".',
    )
    parser.add_argument(
        "--only",
        action="append",
        choices=NAMES,
        metavar="NAME",
        help=f"may be repeated: {', '.join(NAMES)}",
    )
    parser.add_argument(
        "--state",
        choices=[State.MEMORY.value, State.DISK.value],
        help="where daemon, registry and contexts are kept: in a tmpfs, so that no disk decides, "
        "unless this machine has too little memory for it",
    )
    parser.add_argument("--rounds", type=_positive, help="instead of each scenario's own number")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every run to this file")
    parser.add_argument(
        "--contenders",
        type=_some_contenders,
        default=CONTENDERS,
        help=f"separated by commas: {','.join(CONTENDERS)}",
    )
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def _some_contenders(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    if unknown := set(names) - set(CONTENDERS):
        raise argparse.ArgumentTypeError(f"no such contender: {', '.join(sorted(unknown))}")
    return names


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
