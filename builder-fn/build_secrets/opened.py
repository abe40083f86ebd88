"""Pure. A request's sealed values, opened, and sorted by the parts of the build that may see them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..registry.docker_config import RegistryAuth
from .envelope import handed_out, open_envelope

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .envelope import SealingKey

# A Docker config.json for this one build, under a name that no file of a user's has by chance.
REGISTRY_AUTH = "com.openfaas.registry.auth"


@dataclass(frozen=True, slots=True)
class BuildSecrets:
    """*mounted* is for the steps that ask by name; *registry_auth* for the registries, and no step."""

    mounted: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    registry_auth: RegistryAuth = field(default_factory=RegistryAuth)
    secret_ids_key: bytes = field(default=b"", repr=False)
    values: tuple[bytes, ...] = field(default=(), repr=False)  # all that nobody may read in a log

    @classmethod
    def opened(
        cls, envelope: bytes | memoryview | None, keys: Sequence[SealingKey]
    ) -> BuildSecrets:
        """Open the *envelope*. Raises SecretsError; NotReady if there is no key to open it with."""
        if envelope is None:
            return cls()
        opened = open_envelope(envelope, keys)
        auth = opened.get(REGISTRY_AUTH)
        registry_auth = RegistryAuth() if auth is None else RegistryAuth.from_caller(auth)
        return cls(
            mounted={name: value for name, value in opened.items() if name != REGISTRY_AUTH},
            registry_auth=registry_auth,
            # The current key, whichever the secrets were sealed for: else every rotation would change
            # the ids of secrets twice, and rebuild each step that mounts a secret as often.
            secret_ids_key=handed_out(keys).private_key,
            values=(*opened.values(), *(text.encode() for text in registry_auth.secrets)),
        )
