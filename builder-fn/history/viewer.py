"""Pure. Tells which builds somebody who asks may know of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .annotations import TENANT, tenant_filter

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Viewer:
    """Sees the builds of one tenant, or all if it is bound to none. Of others there is nothing to be seen."""

    tenant: str = ""

    def may_see(self, annotations: Mapping[str, str]) -> bool:
        """Tell whether it may know of a build whose record has *annotations*."""
        return not self.tenant or annotations.get(TENANT) == self.tenant

    @property
    def filters(self) -> list[str]:
        """ListenBuildHistory's filters for what it may see."""
        return [tenant_filter(self.tenant)] if self.tenant else []


ALL = Viewer()
