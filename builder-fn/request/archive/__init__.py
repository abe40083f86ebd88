"""Pure. A request's tar, indexed in memory: what it configures, what it seals, and its context.

members           the tar's dialects: bytes to members, one pass, no copies
extended_headers  what headers before a member say of it
pax               the records of PAX headers
sparse            files whose holes the tar leaves out
names             member names to paths
indexing          every member judged, in one place
context           the tree of a context, its root, and what must be in it
"""

from .context import DOCKERFILE, dockerfile_of, find, require_dockerfile, rooted_at
from .indexing import CONFIG, SEALED_SECRETS, Archive, Limits, index

__all__ = [
    "CONFIG",
    "DOCKERFILE",
    "SEALED_SECRETS",
    "Archive",
    "Limits",
    "dockerfile_of",
    "find",
    "index",
    "require_dockerfile",
    "rooted_at",
]
