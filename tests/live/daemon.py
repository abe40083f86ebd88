"""One daemon as a replica of the builder sees it: a client that also knows all replicas' builds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from function.buildkit import Client
from function.history import History

if TYPE_CHECKING:
    from collections.abc import Mapping

    from function.history import Claim


class Daemon(History):
    def __init__(self, address: str, *, patience: float) -> None:
        self.client = Client(address, patience=patience)
        self.solve = self.client.solve
        self.version = self.client.version
        super().__init__(self.client)

    def claim(
        self, build_id: str, annotations: Mapping[str, str], *, is_new: bool = False
    ) -> Claim | None:
        """Make a claim that all others see, as of a detached build."""
        claim = super().claim(build_id, annotations, is_new=is_new)
        if claim:
            self.wait_until_on_record(claim)
        return claim
