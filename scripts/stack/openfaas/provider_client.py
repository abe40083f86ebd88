"""Network I/O. Tells the provider what runs, and asks it what was deployed."""

import json
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

ANSWER_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class ProviderClient:
    url: str

    def register(self, name: str, urls: Sequence[str]) -> None:
        """Declare these the running replicas of the function from now on; none is none."""
        self._call("PUT", f"/endpoints/{quote(name)}", list(urls))

    def deployments(self) -> list[dict[str, Any]]:
        """Return every deployment that was asked for, oldest first (faas-provider FunctionDeployment)."""
        found: list[dict[str, Any]] = json.loads(self._call("GET", "/deployments"))
        return found

    def _call(self, method: str, path: str, document: object = None) -> bytes:
        body = None if document is None else json.dumps(document).encode()
        request = urllib.request.Request(self.url + path, body, method=method)  # noqa: S310 - ours
        with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as answer:  # noqa: S310 - ours
            content: bytes = answer.read()
        return content
