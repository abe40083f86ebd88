"""Process and disk I/O. What the contenders need: started for this run alone, or given.

A stack that runs already is used when the environment names it (eval "$(./scripts/up --env)"); its
daemon then keeps what is in its cache except uploaded contexts and the benchmark's large snapshots.
"""

import json
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from stack.daemons import buildkitd, function, registry
from stack.errors import StackError
from stack.images import base_images
from stack.install import golang, ownership, preparation
from stack.machine import Machine
from stack.paths import Paths
from stack.running import record

from . import several_daemons, state
from .errors import BenchmarkError
from .scenarios import BARE, OURS, RIVAL, TENANT
from .services import Service
from .state import State
from .timing import Daemon

# Answers 200 once the daemon does too.
READINESS = "/ready"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    daemon: Daemon
    services: Mapping[str, Service]
    given: Mapping[str, str]  # addresses of servers that run already, by contender
    secret: bytes
    tenant_secret: bytes  # of the tenant that the service TENANT knows
    scratch: Path
    pool: Callable[[ExitStack], several_daemons.Pool]


@contextmanager
def running(environment: Mapping[str, str], asked: State | None) -> Iterator[Parts]:
    """Run all parts until the end of the block. Raises BenchmarkError when a part cannot be had.

    What is started for this run keeps its state where *asked*, or in memory if that allows it.
    """
    paths = Paths()
    with ExitStack() as stack:
        try:
            with record.locked(paths):
                prepared = preparation.prepare(paths)
            parts = _assemble(prepared, environment, asked, stack)
        except StackError as exc:
            raise BenchmarkError(str(exc)) from exc
        yield parts


def _assemble(
    prepared: preparation.Prepared,
    environment: Mapping[str, str],
    asked: State | None,
    stack: ExitStack,
) -> Parts:
    machine = prepared.machine
    scratch = machine.account.scratch(machine.paths, "benchmark")
    stack.callback(shutil.rmtree, scratch, ignore_errors=True)
    own = asked or state.default(Path("/proc/meminfo").read_text())
    stack.enter_context(state.mounted(own, scratch))
    daemon = _given_daemon(machine, environment)
    if daemon and asked:
        raise BenchmarkError("The given daemon keeps its state where it does: leave out --state.")
    daemon = daemon or _own_daemon(prepared, own, scratch, stack)
    secret_file = ownership.keep(scratch / "secrets") / "payload-secret"
    url = environment.get("BUILDER_URL")
    secret = _secret(environment if url else {})
    secret_file.write_bytes(secret)
    secret_file.chmod(0o644)
    tenant_secret = secrets.token_hex(16).encode()
    of_tenant = ownership.keep(scratch / "tenant-secrets") / "builder-tenants"
    of_tenant.write_text(json.dumps(_tenants(tenant_secret, daemon.registry)))
    of_tenant.chmod(0o644)
    services = {
        OURS: _ours(machine, daemon, scratch, secret_file),
        TENANT: _ours(machine, daemon, scratch, of_tenant, name=TENANT),
        **_rivals(machine, daemon, scratch, secret_file),
    }

    def pool(started: ExitStack) -> several_daemons.Pool:
        return _pool(prepared, daemon, scratch, secret_file, started)

    return Parts(
        daemon=daemon,
        pool=pool,
        services=services,
        given={OURS: url} if url else {},
        secret=secret,
        tenant_secret=tenant_secret,
        scratch=scratch,
    )


def _given_daemon(machine: Machine, environment: Mapping[str, str]) -> Daemon | None:
    address, host = environment.get("BUILDKIT_HOST"), environment.get("REGISTRY")
    if not address and not host:
        return None
    if not address or not host:
        raise BenchmarkError("BUILDKIT_HOST and REGISTRY belong together: set both, or neither.")
    return Daemon(
        buildctl=machine.programs.buildctl, address=address, registry=host, state=State.GIVEN
    )


def _own_daemon(
    prepared: preparation.Prepared, own: State, scratch: Path, stack: ExitStack
) -> Daemon:
    machine = prepared.machine
    store = stack.enter_context(registry.start(machine, directory=scratch / "registry"))
    base_images.push(prepared.images, store.client())
    daemon = stack.enter_context(
        buildkitd.start(
            machine,
            root=scratch / "buildkit",
            unix=True,
            mirror=store.address,
            mirrored=prepared.mirrored,
        )
    )
    return Daemon(
        buildctl=machine.programs.buildctl,
        address=daemon.address,
        registry=store.address,
        state=own,
    )


def _pool(
    prepared: preparation.Prepared,
    daemon: Daemon,
    scratch: Path,
    secret_file: Path,
    started: ExitStack,
) -> several_daemons.Pool:
    """Start two more daemons until the end of *started*."""
    machine = prepared.machine
    others = [
        started.enter_context(
            buildkitd.start(
                machine,
                root=scratch / f"buildkit-{place}",
                unix=True,
                mirror=daemon.registry,
                mirrored=prepared.mirrored,
            )
        )
        for place in (2, 3)
    ]
    one = _ours(machine, daemon, scratch, secret_file)
    addresses = ",".join([daemon.address, *(other.address for other in others)])
    settings = {"buildkit_url": addresses, "secret_mount_path": str(secret_file.parent)}
    deployed = machine.paths.repository / "tests" / "deployed"
    program = machine.paths.repository / "scripts" / "benchmark" / "fill_history.py"
    return several_daemons.Pool(
        one=one,
        three=replace(one, environment=lambda port: {"port": str(port), **settings}),
        registry=daemon.registry,
        secret=secret_file.read_bytes(),
        fill=[str(machine.venv / "bin" / "python"), str(program), daemon.address],
        fill_environment={"PYTHONPATH": str(deployed)},
    )


def _secret(environment: Mapping[str, str]) -> bytes:
    """Return the secret that a given function was started with; else any."""
    given = environment.get("PAYLOAD_SECRET_FILE")
    return Path(given).read_bytes().strip() if given else secrets.token_hex(16).encode()


def _tenants(secret: bytes, registry: str) -> dict[str, object]:
    """Return a tenants file with one tenant, which has each limit that is counted over all replicas."""
    tenant = {
        "keys": [{"name": "benchmark", "secret": secret.decode()}],
        "images": [f"{registry}/benchmark/**"],
        "limits": {"builds": 4, "waiting": 8, "buildsPerHour": 100_000},
    }
    return {"tenants": {"benchmark": tenant}}


def _ours(
    machine: Machine, daemon: Daemon, scratch: Path, secret_file: Path, *, name: str = OURS
) -> Service:
    home = scratch / f"app-{name}"
    function.lay_out(machine.paths, home)
    # The account writes bytecode below it, as the first start of a container does. The lowest first: what
    # stands in a folder of the account's is not ours to give away.
    folders = [home, *(path for path in home.rglob("*") if path.is_dir())]
    for folder in sorted(folders, reverse=True):
        machine.account.own(folder, 0o755)
    settings = {"buildkit_url": daemon.address, "secret_mount_path": str(secret_file.parent)}
    return Service(
        name=name,
        account=machine.account,
        folder=home,
        command=lambda _port: [machine.venv / "bin" / "python", "index.py"],
        environment=lambda port: {"port": str(port), **settings},
        readiness=READINESS,
    )


def _rivals(
    machine: Machine, daemon: Daemon, scratch: Path, secret_file: Path
) -> Mapping[str, Service]:
    """Return the Go server, and the same program as a bare client."""
    module = machine.paths.repository / "tests" / "rival"
    log = machine.paths.logs / "go.log"
    programs = machine.paths.cache / "rival"
    programs.mkdir(parents=True, exist_ok=True)
    go = golang.toolchain(machine.paths, module / "go.mod", log)
    golang.build(go, module, ["."], into=programs, log=log)
    options: list[str | Path] = ["--buildkit", daemon.address, "--secret-file", secret_file]
    folder = machine.account.own(scratch / "rival", 0o755)
    # It unpacks where everything else is kept, too.
    temporary = machine.account.own(scratch / "unpacked")

    def service(name: str, *more: str) -> Service:
        return Service(
            name=name,
            account=machine.account,
            folder=folder,
            command=lambda port: [
                *(programs / "rival", "--listen", f"127.0.0.1:{port}"),
                *options,
                *more,
            ],
            environment=lambda _port: {"TMPDIR": str(temporary)},
            readiness="/",
        )

    return {RIVAL: service(RIVAL), BARE: service(BARE, "--bare")}
