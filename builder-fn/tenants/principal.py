"""Pure. Tells who asks, by one value.

It is made where the signature is checked, and passed to all that comes after.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import BodyTooLarge, PushRefused
from ..history import Viewer
from ..history.annotations import TENANT
from ..quoting import quoted
from ..registry.reference import Reference
from ..telemetry.metrics import UNSIGNED
from .tenant import Limits

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ..request.signature import Key
    from .patterns import ImagePattern
    from .policy import Policy
    from .tenant import Tenant


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Tells who asks. Without a *tenant* that is an operator, who may do everything, as all may without a
    tenants file.
    """

    key: Key | None = None  # None where nobody has to sign
    tenant: Tenant | None = None
    policies: tuple[Policy, ...] = ()  # that hold for its builds, each of them
    others_are_isolated: bool = False  # some other tenant's cache is
    others: tuple[ImagePattern, ...] = ()  # what other tenants may push, that it must not read

    @property
    def is_operator(self) -> bool:
        return self.tenant is None

    @property
    def name(self) -> str:
        """The tenant's name; nothing of an operator."""
        return self.tenant.name if self.tenant else ""

    @property
    def key_name(self) -> str:
        """The name of the key, which logs and metrics may show."""
        return self.key.name if self.key else UNSIGNED

    @property
    def account(self) -> str:
        """The name under which it takes turns: a tenant has one account, however many keys it has."""
        return self.name or self.key_name

    @property
    def share(self) -> int:
        """The turns that it has for one of another's."""
        return self.tenant.share if self.tenant else 1

    @property
    def limits(self) -> Limits:
        """Its own limits, of which an operator has none."""
        return self.tenant.limits if self.tenant else Limits()

    def callback_hosts(self, operators: Sequence[str]) -> Sequence[str]:
        """Return the hosts that its builds may call: its own, or of an operator the *operators*."""
        return self.tenant.callback_hosts if self.tenant else operators

    def require_body(self, size: int) -> None:
        """Refuse a body of *size* bytes that is larger than its builds may have. Raises BodyTooLarge."""
        most = self.limits.body_bytes
        if most is not None and size > most:
            raise BodyTooLarge(
                f"The body has {size} bytes, and {most} are the most for your builds. Leave out what the "
                "build does not need, compress it, or ask the operator of the builder for more."
            )

    @property
    def annotations(self) -> Mapping[str, str]:
        """The words that the record of its build says of it."""
        tenant = {TENANT: self.name} if self.tenant else {}
        return {"key": self.key_name, **tenant}

    @property
    def viewer(self) -> Viewer:
        """Return what it may see of all builds that there are."""
        return Viewer(self.name)

    def require_push(self, names: Iterable[str]) -> None:
        """Refuse to push to another's repository. Raises PushRefused for the first of *names* that is one."""
        if self.tenant is None:
            return
        for name in names:
            if not self.tenant.may_push(Reference.parse(name)):
                raise PushRefused(
                    f"The key of this request may not push {quoted(name)}: choose a name that is "
                    "yours, or ask the operator of the builder to allow it to you."
                )


# The one that asks where nobody has to sign.
NOBODY = Principal()
