"""Pure. Puts the daemons into the order in which builds of one image prefer them, the same in every replica.

Rendezvous hashing (Thaler and Ravishankar, 1998): each daemon has a number for each key, and the highest
comes first. A daemon that joins takes only its own share of the keys, and one that leaves gives away only its
own. What comes next in the order is where builds go that find no room or no answer.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

# Of a build's id: the first of its 32 digits, so that an id alone gives the order in which to ask for it.
KEY_DIGITS = 8


def key_of(image_name: str) -> str:
    """Return the key of an image by its canonical name, without a tag: each commit has another one."""
    return hashlib.sha256(image_name.encode(errors="surrogateescape")).hexdigest()[:KEY_DIGITS]


def in_order(key: str, worker_ids: Iterable[str]) -> list[str]:
    """Return *worker_ids* as builds of *key* prefer them, the first choice first."""
    return sorted(worker_ids, key=lambda worker_id: _number(key, worker_id), reverse=True)


def _number(key: str, worker_id: str) -> bytes:
    return hashlib.sha256(f"{key}{worker_id}".encode()).digest()
