"""I/O: knows all who may ask: the holders of payload secrets, and those that the tenants file names.

A payload secret is an operator's key where there are tenants, and everybody's where there are none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import secret_files
from ..errors import NotReady
from ..request.signature import Arriving, verify
from .principal import NOBODY, Principal
from .tenants_file import TenantsFile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..build_secrets.envelope import SealingKey
    from ..config import Settings
    from ..registry.docker_config import RegistryAuth
    from ..request.signature import Key
    from .parsing import Tenants


class Askers:
    """Safe for use by many threads. All methods raise NotReady for what the operator must mend."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._file = TenantsFile(settings.secret_mount_path, settings.tenants_file)

    @property
    def tenants(self) -> Tenants | None:
        """What the tenants file says; None where there are no tenants."""
        tenants = self._file.current()
        if tenants is not None and self._settings.disable_hmac:
            raise NotReady(
                "disable_hmac is true and there is a tenants file: without signatures nobody could tell "
                "one tenant from another. Set disable_hmac to false, or take the file away."
            )
        return tenants

    def warnings(self) -> list[str]:
        """Return sentences for the operator, after a look at all files. Raises NotReady."""
        warnings = [key.weakness for key in self.known_keys() if key.weakness]
        return [warning for warning in (self._file.warning, *warnings) if warning]

    def known_keys(self) -> list[Key]:
        """Return all keys that a request may be signed with; none where nobody has to sign."""
        return self._keys(self.tenants)

    def arriving(self) -> Arriving | None:
        """Return what signs a large body while it arrives; None where nobody has to sign."""
        keys = self.known_keys()
        return Arriving(keys) if keys else None

    def verified(
        self,
        body: bytes | memoryview,
        header_values: Sequence[str],
        arrived: Arriving | None = None,
    ) -> Principal:
        """Return who signed *body*. Raises SignatureError."""
        tenants = self.tenants  # at one moment: who holds a key is never asked of another file
        keys = self._keys(tenants)
        if not keys:
            return NOBODY
        key = verify(body, header_values, keys, arrived)
        return tenants.principal(key) if tenants else Principal(key=key)

    def registry_auth(self, principal: Principal) -> RegistryAuth:
        """Return the credentials for registries that builds of *principal* may use."""
        if principal.tenant is None:
            return secret_files.registry_auth(self._settings)
        return principal.tenant.registry_auth

    def sealing_keys(self, principal: Principal) -> Sequence[SealingKey]:
        """Return the keys that build secrets of *principal* may be sealed for, the one to hand out first."""
        if principal.tenant is None:
            return secret_files.sealing_keys(self._settings)
        return principal.tenant.sealing_keys

    def _keys(self, tenants: Tenants | None) -> list[Key]:
        if self._settings.disable_hmac:
            return []
        if tenants is None:
            return secret_files.payload_keys(self._settings)
        # Those that may do less come first: a secret that a tenant has as well is the tenant's.
        keys = [*tenants.keys, *secret_files.payload_keys(self._settings, needed=False)]
        if not keys:
            raise NotReady("The tenants file has no key, and there is no payload secret either.")
        return keys
