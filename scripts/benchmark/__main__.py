"""The command line of scripts/bench."""

import argparse
import json
import os
import platform
import random
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from stack.install.programs import BUILDKIT_VERSION
from stack.paths import REPOSITORY

from . import folder, footprint, parts, report
from .contenders import Buildctl, Contender, Server
from .contexts import ContextSource
from .errors import BenchmarkError
from .footprint import Probes
from .parts import Parts
from .report import BUILDCTL, CONTENDERS, Result
from .scenarios import FOOTPRINTS, IDLE, NAMES, PEAK, READY, SETTLED, TIMED
from .timing import Course


def main(arguments: Sequence[str]) -> int:
    options = _parser().parse_args(arguments)
    options.only = options.only or NAMES
    try:
        results = _measure(options)
    except BenchmarkError as exc:
        print(f"error: {exc}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("error: interrupted; all that was started is stopped.", file=sys.stderr)
        return 130
    print(report.table(results))
    if options.json:
        document = report.document(results, _conditions(options))
        options.json.write_text(json.dumps(document, indent=2) + "\n")
    return 0


def _measure(options: argparse.Namespace) -> list[Result]:
    source = ContextSource(
        sample=folder.read(REPOSITORY / "template" / "python3-http"),
        seed=random.SystemRandom().getrandbits(64),
        started=int(time.time()),
    )
    with parts.running(os.environ) as found:
        timed = _timed(options, found, source)
        return [*timed, *_footprints(options, found, source)]


def _timed(options: argparse.Namespace, found: Parts, source: ContextSource) -> list[Result]:
    wanted = [scenario for scenario in TIMED if scenario.name in options.only]
    course = Course(source=source, daemon=found.daemon)
    results = []
    with ExitStack() as stack:
        contenders = _contenders(options.contenders, found, stack) if wanted else {}
        for scenario in wanted:
            rounds = options.rounds or scenario.rounds
            _say(f"{scenario.title}: {rounds} rounds")
            figures = course.measure(scenario, contenders, rounds)
            results.append(Result(scenario, figures))
            _say_result(results[-1])
    return results


def _footprints(options: argparse.Namespace, found: Parts, source: ContextSource) -> list[Result]:
    probes = Probes(source=source, daemon=found.daemon, secret=found.secret)
    probe_of = {PEAK: probes.peak, READY: probes.ready, IDLE: probes.idle, SETTLED: probes.settled}
    services = {
        name: service for name, service in found.services.items() if name in options.contenders
    }
    results = []
    for wanted in FOOTPRINTS:
        if wanted.name not in options.only or not services:
            continue
        rounds = options.rounds or wanted.rounds
        _say(f"{wanted.title}: {rounds} rounds")
        figures = footprint.measure(services, probe=probe_of[wanted], rounds=rounds)
        results.append(Result(wanted, figures))
        _say_result(results[-1])
    return results


def _contenders(names: Sequence[str], found: Parts, stack: ExitStack) -> dict[str, Contender]:
    contenders: dict[str, Contender] = {}
    for name in names:
        if name == BUILDCTL:
            contenders[name] = Buildctl(
                program=found.daemon.buildctl,
                buildkit=found.daemon.address,
                scratch=found.scratch / "contexts",
            )
            continue
        url = found.given.get(name) or stack.enter_context(found.services[name].start()).url
        contenders[name] = Server(name=name, url=url, secret=found.secret)
    return contenders


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _say_result(result: Result) -> None:
    for name, summary in result.figures.items():
        ratio = result.ratio(name)
        compared = "" if ratio is None or name == BUILDCTL else f", {ratio:.2f} of buildctl"
        _say(f"  {name}: {summary.median:.3f}{compared}")


def _conditions(options: argparse.Namespace) -> dict[str, object]:
    return {
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "processors": os.cpu_count(),
        "load": os.getloadavg(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "buildkit": BUILDKIT_VERSION,
        "contenders": list(options.contenders),
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
        metavar="SCENARIO",
        help=f"may be repeated: {', '.join(NAMES)}",
    )
    parser.add_argument("--rounds", type=_positive, help="instead of 15, or 5 for what is large")
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
