"""Starts Debian's Prometheus, and asks it. It scrapes and judges as it is told, on loopback."""

import http.client
import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from stack.daemons import daemon, ports
from stack.daemons.daemon import Service
from stack.errors import StackError
from stack.machine import Machine

_PATIENCE_SECONDS = 10.0


@dataclass(slots=True, kw_only=True)
class Prometheus(Service):
    """A running Prometheus. As a context manager it stops at the end of the block."""

    port: int

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the vector that *expression* comes to now; for a scalar, one sample without labels.

        Raises StackError with Prometheus' own words.
        """
        data = self._ask("query", query=expression)
        if data["resultType"] == "scalar":
            return [{"metric": {}, "value": data["result"]}]
        return list(data["result"])

    def targets(self) -> list[dict[str, Any]]:
        """Return what is scraped, and what would be but for the relabelling (`scrapePool`, `health`, ...)."""
        return list(self._ask("targets", state="active")["activeTargets"])

    def rules(self) -> list[dict[str, Any]]:
        """Return every alerting rule, with its `health` and its `state`."""
        groups = self._ask("rules", type="alert")["groups"]
        return [rule for group in groups for rule in group["rules"]]

    def _ask(self, what: str, **parameters: str) -> dict[str, Any]:
        status, body = _get(self.port, f"/api/v1/{what}?{urlencode(parameters)}")
        answer: dict[str, Any] = json.loads(body)
        if answer["status"] != "success":
            raise StackError(f"Prometheus answered {status}: {answer.get('error')}")
        data: dict[str, Any] = answer["data"]
        return data


def start(
    machine: Machine, *, configuration: Mapping[str, Any], rules: Sequence[Path] = ()
) -> Prometheus:
    """Start one on a free port, in a folder that goes with it.

    `rules` are files that the configuration names; they stand beside it under their own names.
    """
    folder = machine.account.scratch(machine.paths, "prometheus")
    for file in rules:
        (folder / file.name).write_bytes(file.read_bytes())
    told = folder / "prometheus.yml"
    told.write_text(json.dumps(configuration, indent=2))  # JSON is YAML
    port = ports.free()
    started = daemon.launch(
        "prometheus",
        [
            "prometheus",
            f"--config.file={told}",
            f"--storage.tsdb.path={machine.account.own(folder / 'data')}",
            f"--web.listen-address={ports.LOOPBACK}:{port}",
            "--log.level=warn",
        ],
        account=machine.account,
        environment=machine.account.environment(),
        folder=folder,
        log=folder / "prometheus.log",
        belongings=(folder,),
    )
    daemon.wait_until_ready(started, lambda: _is_ready(port))
    return Prometheus(port=port, daemon=started)


def _is_ready(port: int) -> bool:
    # It listens, and says 503, while it still loads what it is told.
    try:
        return _get(port, "/-/ready")[0] == http.client.OK
    except (OSError, http.client.HTTPException):
        return False


def _get(port: int, path: str) -> tuple[int, bytes]:
    with closing(
        http.client.HTTPConnection(ports.LOOPBACK, port, timeout=_PATIENCE_SECONDS)
    ) as connection:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
