"""One daemon as a replica of the builder sees it: a client that also knows all replicas' builds."""

from __future__ import annotations

from function.buildkit import Client
from function.history import History


class Daemon(History):
    def __init__(self, address: str, *, patience: float) -> None:
        self.client = Client(address, patience=patience)
        self.solve = self.client.solve
        self.version = self.client.version
        super().__init__(self.client)
