"""The command line of scripts/tenant, and the words that it prints. No secret is ever among them."""

import argparse
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from function.tenants.parsing import Tenants

from .explaining import base, summary, verdict
from .storage import CannotStore, content, created, exchange, locked
from .tenants import CannotChange, added, dumped, judged, loaded, removed

SECRET = "builder-tenants"  # noqa: S105 - the name of the OpenFaaS secret, and of the file
NAMESPACE = "openfaas-fn"  # OpenFaaS' own default

_LIMITS = (
    "builds",
    "waiting",
    "buildsPerHour",
    "bodyBytes",
    "contextBytes",
    "contextEntries",
    "buildTimeout",
)


def run(arguments: Sequence[str]) -> int:
    options = _parser().parse_args(arguments)
    commands = {"add": _add, "list": _list, "check": _check, "remove": _remove}
    try:
        return commands[options.command](options)
    except (CannotStore, CannotChange) as exc:
        print(f"error: {exc}", file=sys.stderr)
        return 2


def _add(options: argparse.Namespace) -> int:
    path: Path = options.file
    with locked(path):
        before = content(path)
        known = loaded(before)
        is_new = options.name not in known.get("tenants", {})
        if is_new and not options.image:
            raise CannotChange(
                f'Say what "{options.name}" may push: --image "registry.example/{options.name}/**".'
            )
        change = added(known, options.name, options.key, _members(options))
        written = dumped(change.content)
        secret = path.with_name(f"{options.name}.payload-secret-{options.key}")
        files = {secret: (change.secret.encode(), 0o600)}
        public = path.with_name(f"{options.name}.build-secrets-key.pub")
        if is_new:
            if public.exists():
                raise CannotStore(
                    f"{public} is there already and is kept, of a tenant that had this name: choose another "
                    "one, since the new tenant would get the old one's cache, or take the file away."
                )
            files[public] = (change.public_key.encode(), 0o644)
        with created(files):
            exchange(path, written)
    what = f'the tenant "{options.name}"' if is_new else f'a key of the tenant "{options.name}"'
    print(f'Added {what} to {path}: the key "{options.key}".\n')
    print("For the tenant, and nobody else:\n")
    print(f"  {secret}   signs its requests: faas-cli publish --payload-secret {secret.name}")
    if is_new:
        print(f"  {public}   seals its build secrets: --builder-public-key {public.name}")
    print(f"\nThe builder learns of it from the secret {SECRET}:\n")
    _print_updates(path, is_first=before is None)
    return 0


def _remove(options: argparse.Namespace) -> int:
    path: Path = options.file
    with locked(path):
        exchange(path, dumped(removed(loaded(content(path)), options.name, options.key or "")))
    what = f'the key "{options.key}" of' if options.key else "the tenant"
    print(
        f'Removed {what} "{options.name}" from {path}. What it signs is refused from now on, once the builder'
    )
    print("has the file; builds that run go on to their end.\n")
    if not options.key:
        print(
            "Its files there are of no use any more. Give no other customer its name: what it left in"
        )
        print("buildkitd's cache goes by that.\n")
    _print_updates(path, is_first=False)
    return 0


def _list(options: argparse.Namespace) -> int:
    tenants = _tenants(options.file)
    for tenant in tenants.tenants.values():
        print(tenant.name)
        for line in summary(tenant):
            print(f"  {line}")
    for key in tenants.operator_keys:
        print(f"operator's key: {key.name}")
    return 0


def _check(options: argparse.Namespace) -> int:
    tenants = _tenants(options.file)
    if not options.name:
        count = len(tenants.tenants)
        print(f"{options.file} can be used: {count} {'tenant' if count == 1 else 'tenants'}.")
        return 0
    tenant = tenants.tenants.get(options.name)
    if tenant is None:
        raise CannotChange(f'There is no tenant "{options.name}" in {options.file}.')
    if not options.image:
        print(tenant.name)
        for line in summary(tenant):
            print(f"  {line}")
    verdicts = [(image, verdict(tenant, image)) for image in options.image]
    for image, found in verdicts:
        print(f"{tenant.name} {'may push' if found.allowed else 'may NOT push'} {image}")
        for reason in found.reasons:
            print(f"  {reason}")
        others = [each.name for each in tenants.tenants.values() if each is not tenant]
        also = [name for name in others if verdict(tenants.tenants[name], image).allowed]
        if also:
            print(f"  NOTE: {', '.join(also)} may push it, too")
        read = base(tenants.principal(tenant.keys[0]), image)
        print(f"{tenant.name} {'may build' if read.allowed else 'may NOT build'} from {image}")
        for reason in read.reasons:
            print(f"  {reason}")
    return 0 if all(found.allowed for _, found in verdicts) else 1


def _tenants(path: Path) -> Tenants:
    written = content(path)
    if written is None:
        raise CannotChange(f"There is no {path}: make it with scripts/tenant add NAME.")
    return judged(written)


def _members(options: argparse.Namespace) -> dict[str, Any]:
    members: dict[str, Any] = {}
    if options.image:
        members["images"] = options.image
    if options.limit:
        members["limits"] = dict(options.limit)
    if options.registry_auth:
        written = content(options.registry_auth)
        if written is None:
            raise CannotStore(f"There is no {options.registry_auth}.")
        try:
            members["registryAuth"] = json.loads(written)
        except ValueError as exc:
            raise CannotChange(
                f"{options.registry_auth} is no JSON, as Docker's config.json is."
            ) from exc
    return members


def _print_updates(path: Path, *, is_first: bool) -> None:
    verb = "create" if is_first else "update"
    print(f"  faas-cli secret {verb} {SECRET} --from-file {path}")
    if is_first:
        print(f"  (and name {SECRET} under `secrets` in stack.yml, once; then faas-cli deploy)")
    print("\nor\n")
    print(f"  kubectl -n {NAMESPACE} create secret generic {SECRET} --from-file={SECRET}={path} \\")
    print("    --dry-run=client -o yaml | kubectl apply --server-side -f -")


def _limit(text: str) -> tuple[str, int | str]:
    name, equals, value = text.partition("=")
    if not equals or name not in _LIMITS:
        raise argparse.ArgumentTypeError(f"write NAME=VALUE, with a NAME of {', '.join(_LIMITS)}")
    return name, int(value) if value.isdecimal() and name != "buildTimeout" else value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/tenant",
        description="Adds, lists, checks and removes tenants of the builder: customers who share it and "
        "trust neither one another nor what the others build. See builder-fn/tenants/README.md.",
    )
    parser.add_argument(
        "--file",
        type=Path,
        default=Path(SECRET),
        help=f"the tenants file, by default ./{SECRET}; keys are written beside it",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    add = commands.add_parser("add", help="add a tenant, or another key to one that is there")
    add.add_argument("name", help='such as "acme": lower-case letters, digits and "-"')
    add.add_argument(
        "--image",
        action="append",
        default=[],
        metavar="PATTERN",
        help='repositories that it may push, such as "registry.example/acme/**"; may be repeated',
    )
    add.add_argument(
        "--registry-auth",
        type=Path,
        metavar="FILE",
        help="a Docker config.json with its own credentials for registries",
    )
    add.add_argument(
        "--limit",
        type=_limit,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help=f"one of {', '.join(_LIMITS)}; may be repeated",
    )
    add.add_argument(
        "--key",
        default=datetime.now(UTC).strftime("%Y-%m-%d"),
        help="the name of the key, which logs and metrics show; by default today's date",
    )
    commands.add_parser("list", help="show all tenants, without their secrets")
    check = commands.add_parser(
        "check", help="tell whether the file can be used, or what a tenant may push and why"
    )
    check.add_argument("name", nargs="?", default="")
    check.add_argument("image", nargs="*")
    remove = commands.add_parser("remove", help="remove a tenant, or one of its keys")
    remove.add_argument("name")
    remove.add_argument("--key", help="remove this key alone")
    return parser
