"""A registry that claims to have each image that it is asked for, and knows no more than its digest."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from .serving import Handler, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"


class _Claiming(Handler):
    def do_HEAD(self) -> None:  # noqa: N802 - the base class looks for it
        _, is_manifest, digest = self.path.rpartition("/manifests/")
        self.send_response(200 if is_manifest else 404)
        self.send_header("Content-Type", _MANIFEST)
        self.send_header("Docker-Content-Digest", digest)
        self.send_header("Content-Length", "1")  # the daemon does not look at what it has
        self.end_headers()

    def do_GET(self) -> None:  # noqa: N802 - the base class looks for it
        self.send_response(200 if self.path == "/v2/" else 404)
        self.send_header("Content-Length", "0")
        self.end_headers()


@contextmanager
def claiming() -> Iterator[str]:
    """Its host:port."""
    with serving(_Claiming) as address:
        yield address
