from __future__ import annotations

from function.buildkit import ANONYMOUS
from function.builds.offer import offer
from function.context.shared_key import SharedKeys

from .jobs import job


def shared_key(keys: SharedKeys, owner: str) -> str:
    return offer(job().bundle, keys, lambda _host: ANONYMOUS, {}, owner=owner).shared_key


def test_builds_of_one_owner_share_what_the_daemon_has() -> None:
    keys = SharedKeys()

    assert shared_key(keys, "acme") == shared_key(keys, "acme")


def test_owners_of_images_of_one_name_share_nothing() -> None:
    keys = SharedKeys()

    assert len({shared_key(keys, owner) for owner in ("acme", "beta", "")}) == 3
