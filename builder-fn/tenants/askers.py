"""I/O: knows all who may ask: the holders of payload secrets, and those that the tenants file names.

A payload secret is an operator's key where there are tenants, and everybody's where there are none.
"""

from __future__ import annotations

import hmac
import threading
from contextlib import nullcontext
from typing import TYPE_CHECKING

from .. import secret_files
from ..errors import NotReady, SignatureError
from ..request.signature import Arriving, verify
from .principal import NOBODY, Principal
from .tenants_file import TenantsFile

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from ..build_secrets.envelope import SealingKey
    from ..config import Settings
    from ..registry.docker_config import RegistryAuth
    from ..request.signature import Key
    from .parsing import Tenants

# Each key costs a pass over the body. So many are tried at once for every body; further ones for one large
# body after the other, or a stranger's would take all processors for all keys there are.
_TRIED_AT_ONCE = 8
_LARGE_BODY = 1 << 20
_MOST_REMEMBERED = 64


class Askers:
    """Safe for use by many threads. All methods raise NotReady for what the operator must mend."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._file = TenantsFile(settings.secret_mount_path, settings.tenants_file)
        self._lock = threading.Lock()
        self._recent: list[str] = []  # names of keys, the one that has signed last first
        self._searching = threading.Lock()

    @property
    def tenants(self) -> Tenants | None:
        """Return what the tenants file says; None where there are no tenants."""
        tenants = self._file.current()
        if tenants is not None and self._settings.disable_hmac:
            raise NotReady(
                "disable_hmac is true and there is a tenants file: without signatures nobody could tell "
                "one tenant from another. Set disable_hmac to false, or take the file away."
            )
        return tenants

    @property
    def are_tenants(self) -> bool:
        """Tell whether there are tenants, or ought to be."""
        try:
            return self.tenants is not None
        except NotReady:
            return True

    @property
    def tenant_names(self) -> Collection[str]:
        """The names of all tenants, as far as they can be told."""
        try:
            tenants = self.tenants
        except NotReady:
            return ()
        return tenants.tenants.keys() if tenants else ()

    def warnings(self) -> list[str]:
        """Return sentences for the operator, after a look at all files. Raises NotReady."""
        weaknesses = [key.weakness for key in self.known_keys()]
        doubles = (*self._doubles(), *self._sealing_doubles())
        warnings = [self._file.warning, *doubles, self._open_daemons, *weaknesses]
        return [warning for warning in warnings if warning]

    def known_keys(self) -> list[Key]:
        """Return all keys that a request may be signed with; none where nobody has to sign."""
        return self._keys(self.tenants)

    def arriving(self, hint: str = "") -> Arriving | None:
        """Return what signs a large body while it arrives, by the key that it is likely signed with.

        *hint* is as for `verified`. None where nobody has to sign.
        """
        keys = self._likely_first(self.known_keys(), hint)
        return Arriving(keys) if keys else None

    def verified(
        self,
        body: bytes | memoryview,
        header_values: Sequence[str],
        *,
        arrived: Arriving | None = None,
        hint: str = "",
    ) -> Principal:
        """Return who signed *body*. Raises SignatureError.

        *hint* is the name of the key, as an unsigned header says: it is tried first, and decides nothing.
        """
        tenants = (
            self.tenants
        )  # at one moment: the holder of a key is never looked up in another file
        keys = self._likely_first(self._keys(tenants), hint)
        if not keys:
            return NOBODY
        try:
            key = verify(body, header_values, keys[:_TRIED_AT_ONCE], arrived)
        except SignatureError:
            if len(keys) <= _TRIED_AT_ONCE:
                raise
            with self._searching if len(body) > _LARGE_BODY else nullcontext():
                key = verify(body, header_values, keys[_TRIED_AT_ONCE:], arrived)
        self._remember(key.name)
        return tenants.principal(key) if tenants else Principal(key=key)

    def may_scrape(self, token: str, *, came_by_proxy: bool) -> bool:
        """Tell whether whoever shows *token* may read the metrics without a signature."""
        if not self.are_tenants:
            return True
        wanted = secret_files.metrics_token(self._settings)
        if wanted:
            return hmac.compare_digest(wanted, token.encode(errors="surrogateescape"))
        return not came_by_proxy

    def registry_auth(self, principal: Principal) -> RegistryAuth:
        """Return the credentials for registries that builds of *principal* may use, as they are now."""
        if principal.tenant is None:
            return secret_files.registry_auth(self._settings)
        tenants = self.tenants
        current = tenants.tenants.get(principal.name) if tenants else None
        return (current or principal.tenant).registry_auth

    def sealing_keys(self, principal: Principal) -> Sequence[SealingKey]:
        """Return the keys that build secrets of *principal* may be sealed for, the one to hand out first.

        A tenant that brings none has its own all the same, made from the operator's: what is sealed for one
        tenant opens for no other.
        """
        if principal.tenant and principal.tenant.sealing_keys:
            return principal.tenant.sealing_keys
        keys = secret_files.sealing_keys(self._settings)
        return [key.derived(principal.name) for key in keys] if principal.tenant else keys

    def _keys(self, tenants: Tenants | None) -> list[Key]:
        if self._settings.disable_hmac:
            return []
        if tenants is None:
            return secret_files.payload_keys(self._settings)
        payload_keys = secret_files.payload_keys(self._settings, needed=False)
        keys = [*tenants.keys, *(key for key in payload_keys if not tenants.has_secret(key))]
        if not keys:
            raise NotReady("The tenants file has no key, and there is no payload secret either.")
        return keys

    def _doubles(self) -> Iterator[str]:
        """Say which payload secrets are not an operator's, since the tenants file has them as well."""
        tenants = self.tenants
        if tenants is None:
            return
        for key in secret_files.payload_keys(self._settings, needed=False):
            if tenants.has_secret(key):
                yield (
                    f'The payload secret "{key.name}" is a key of the tenants file as well, and counts as '
                    "that alone: give the operator another one."
                )

    def _sealing_doubles(self) -> Iterator[str]:
        """Say which tenants have an operator's key for build secrets, that all others' keys are made from."""
        tenants = self.tenants
        if tenants is None or not any(each.sealing_keys for each in tenants.tenants.values()):
            return
        try:
            names = {key.public_key: key.name for key in secret_files.sealing_keys(self._settings)}
        except NotReady:  # which is said where the key is used
            return
        for tenant in tenants.tenants.values():
            held = sorted({names.get(key.public_key, "") for key in tenant.sealing_keys} - {""})
            for name in held:
                yield (
                    f'The sealingKey of the tenant {tenant.name} is the operator\'s "{name}": what is sealed '
                    "for one opens for the other, and whoever has it can open other tenants' build secrets. "
                    "Give the tenant one of its own, or none."
                )

    @property
    def _open_daemons(self) -> str:
        """A sentence on daemons that take orders from whatever reaches them, such as tenants' own steps."""
        settings = self._settings
        urls = (*settings.buildkit_url, *settings.buildkit_lookup_url)
        is_open = settings.buildkit_tls is None and any(url.startswith("tcp:") for url in urls)
        if not is_open or self.tenants is None:
            return ""
        return (
            "There are tenants, and buildkitd is spoken to over TCP without certificates: a step that "
            "reaches it can read and end every tenant's builds. Set buildkit_tls_ca, buildkit_tls_cert and "
            "buildkit_tls_key, or use a unix socket."
        )

    def _likely_first(self, keys: list[Key], hint: str) -> list[Key]:
        if len(keys) == 1:
            return keys
        with self._lock:
            ranks = {name: rank for rank, name in enumerate((hint, *self._recent))}
        return sorted(keys, key=lambda key: ranks.get(key.name, len(ranks)))  # stable

    def _remember(self, name: str) -> None:
        with self._lock:
            if self._recent[:1] != [name]:
                self._recent = [name, *(each for each in self._recent if each != name)]
                del self._recent[_MOST_REMEMBERED:]
