"""Pure. Tells the two addresses that OpenFaaS' gateway has for a function apart, and its queue's limit.

/function/NAME calls a function, /async-function/NAME leaves the call in a queue (openfaas/faas
gateway/main.go); what follows NAME, and the query, come along either way.
"""

from __future__ import annotations

import re
from typing import Final

from ..errors import UsageError

# openfaas/nats-queue-worker handler/nats_queue.go, of the body; as much is just taken.
COMMUNITY_LIMIT: Final = 256_000

_FUNCTION = re.compile(r"(https?://[^/?#]+[^?#]*?)/(async-)?function/(?=[^/?#])")


def is_behind(url: str) -> bool:
    """Tell whether *url* is of a function behind a gateway."""
    return _FUNCTION.match(url) is not None


def is_queue(url: str) -> bool:
    match = _FUNCTION.match(url)
    return match is not None and match[2] is not None


def function_url(url: str) -> str:
    """Return where *url*'s function answers itself: *url*, unless that is its queue."""
    return _FUNCTION.sub(r"\1/function/", url, count=1)


def queue_url(url: str) -> str:
    """Return where calls of *url*'s function are queued. Raises UsageError if it is behind no gateway."""
    if not is_behind(url):
        raise UsageError(
            f'--async needs the gateway, which has the queue: --url should not be "{url}", but look'
            " like http://127.0.0.1:8080/function/builder-fn."
        )
    return _FUNCTION.sub(r"\1/async-function/", url, count=1)


def require_fits(count: int, *, plain: int, limit: int, largest: str) -> None:
    """Raise UsageError for a body of *count* bytes, *plain* before gzip, if a queue takes *limit*.

    *largest* is what there is to leave out.
    """
    if count <= limit:
        return
    raise UsageError(
        f"The request is too large for the queue, which takes {limit:,} bytes: it has {plain:,},"
        f" and gzipped {count:,}. Build with --detach, which needs no queue; or leave out files,"
        f" of which {largest} is the largest; or, if your queue takes more, say so with"
        " --queue-limit."
    )
