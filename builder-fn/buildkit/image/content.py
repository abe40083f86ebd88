"""I/O: reads the daemon's content store, and from it what an image comes to.

The store is containerd's Content service, read-only, on the port of Control (moby/buildkit v0.32.2
control/control.go, Register). The image is in it from its export on, so that it can be read about while it
is pushed and the answer is not held up.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from typing import TYPE_CHECKING

import grpc
from google.protobuf.message import DecodeError

from ...pb import content_pb2 as pb
from ..outcome import BuildResult
from .manifest import Index, MalformedManifest, Manifest, parse, platform_of

if TYPE_CHECKING:
    from collections.abc import Generator

    from ..rpc.http2.call import Call
    from ..rpc.http2.connection import Connection
    from .manifest import Descriptor

_log = logging.getLogger(__name__)

READ = "/containerd.services.content.v1.Content/Read"

# For one image altogether. A manifest may have 4 MiB (opencontainers/distribution-spec v1.1, Pushing
# Manifests), and has hardly ever 10 KiB; a warm build's two or three blobs take 1 ms each (measured).
_MAX_SECONDS = 2.0
_MAX_BYTES = 8 << 20
_MAX_BLOBS = 64


# So many images are remembered, at some 400 bytes each.
_MOST_REMEMBERED = 1_000


class KnownImages:
    """Remembers what images came to: a digest names one content, now and for ever.

    A build that changes nothing ends in an image that is known; to read about it again takes two calls.
    Safe for use by many threads.
    """

    def __init__(self) -> None:
        self._results: OrderedDict[str, BuildResult] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, digest: str) -> BuildResult | None:
        with self._lock:
            return self._results.get(digest)

    def add(self, result: BuildResult) -> None:
        with self._lock:
            self._results[result.digest] = result
            if len(self._results) > _MOST_REMEMBERED:
                self._results.popitem(last=False)


class ImageContent:
    """Learns of one image, blob by blob: give it what is `wanted` until that is nothing."""

    def __init__(self, digest: str, known: KnownImages) -> None:
        self._known = known
        self.digest = digest
        self.deadline = time.monotonic() + _MAX_SECONDS
        self.most_bytes = _MAX_BYTES  # of what is still to come
        self._blobs = _MAX_BLOBS
        found = known.get(digest)
        self.result = found or BuildResult(digest=digest)
        self.wanted = ""  # the next blob's digest
        self._descriptions = self._described()
        if found is None:
            self._advance(None)

    def give(self, blob: bytes) -> None:
        """Take the blob that is wanted; one that was cut off is no JSON."""
        self.most_bytes -= len(blob)
        self._advance(blob)

    def fail(self, reason: str) -> None:
        """Leave it at the digest: an image that cannot be read about has been built all the same."""
        self.wanted = ""
        _log.warning("the size and platforms of %s are not known: %s", self.digest, reason)

    def _advance(self, blob: bytes | None) -> None:
        try:
            self.wanted = self._descriptions.send(blob)
        except StopIteration as end:
            self.wanted = ""
            self.result = end.value
            self._known.add(self.result)
        except MalformedManifest as exc:
            self.fail(str(exc))

    def _described(self) -> Generator[str, bytes | None, BuildResult]:
        top = yield from self._blob(self.digest)
        image = parse(top)
        manifests: list[str] = []
        if isinstance(image, Index):
            told = [entry for entry in image.manifests if entry.platform]
            platforms = [entry.platform for entry in told]
            manifests = [entry.digest for entry in told]
        else:
            platforms = [platform_of((yield from self._blob(image.config.digest)))]
        # A registry keeps a blob once, whatever refers to it.
        blobs = yield from self._blobs_of(image)
        sizes = {blob.digest: blob.size for blob in blobs}
        return BuildResult(
            digest=self.digest,
            size=len(top) + sum(sizes.values()),
            platforms=tuple(filter(None, platforms)),
            manifests=tuple(manifests),
        )

    def _blobs_of(self, image: Index | Manifest) -> Generator[str, bytes | None, list[Descriptor]]:
        """Return all that *image* refers to, and what that refers to."""
        if isinstance(image, Manifest):
            return [image.config, *image.layers]
        found: list[Descriptor] = []
        for entry in image.manifests:
            found.append(entry)
            found += yield from self._blobs_of(parse((yield from self._blob(entry.digest))))
        return found

    def _blob(self, digest: str) -> Generator[str, bytes | None, bytes]:
        self._blobs -= 1
        if self._blobs < 0 or self.most_bytes <= 0:
            raise MalformedManifest("more documents than an image has")
        blob = yield digest
        assert blob is not None  # noqa: S101 - it is only at the start that there is none
        return blob


def read_image(channel: grpc.Channel, digest: str, known: KnownImages | None = None) -> BuildResult:
    """Read about an image by questions on *channel*, for some seconds at most."""
    content = ImageContent(digest, known or KnownImages())
    while wanted := content.wanted:
        left = max(0.0, content.deadline - time.monotonic())
        try:
            content.give(read_blob(channel, wanted, most=content.most_bytes, timeout=left))
        except grpc.RpcError as exc:
            content.fail(exc.details() or "no reason given")
        except ValueError as exc:  # the channel has been closed
            content.fail(str(exc))
    return content.result


class ImageReading:
    """Reads about an image on a build's own connection, while that is read for the build."""

    def __init__(self, connection: Connection, digest: str, known: KnownImages) -> None:
        self._connection = connection
        self._content = ImageContent(digest, known)
        self._call: Call | None = None
        self.advance()

    @property
    def digest(self) -> str:
        return self._content.digest

    def advance(self) -> None:
        """Go on if what was asked for has come. Does not wait."""
        content = self._content
        while content.wanted:
            if self._call is None:
                request = pb.ReadContentRequest(digest=content.wanted, size=content.most_bytes)
                self._call = self._connection.ask(READ, request.SerializeToString())
            if not self._call.ended:
                return
            call, self._call = self._call, None
            if call.error:
                content.fail(call.error.details() or "no reason given")
                return
            messages = self._connection.take(call)
            try:
                data = [pb.ReadContentResponse.FromString(each).data for each in messages]
            except DecodeError as exc:
                content.fail(str(exc))
                return
            content.give(b"".join(data))

    def result(self) -> BuildResult:
        """Wait for the result and return it; once there is no more time, return the digest alone."""
        self.advance()
        while self._content.wanted:
            left = self._content.deadline - time.monotonic()
            if left <= 0:
                self._content.fail("buildkitd does not say")
                break
            self._connection.wait(left)
            self.advance()
        if self._call is not None:
            self._connection.cancel(self._call)
        return self._content.result


def read_blob(channel: grpc.Channel, digest: str, *, most: int, timeout: float) -> bytes:
    """Read at most *most* bytes, in at most *timeout* seconds. Raises grpc.RpcError."""
    read = channel.unary_stream(
        READ,
        request_serializer=pb.ReadContentRequest.SerializeToString,
        response_deserializer=pb.ReadContentResponse.FromString,
    )
    request = pb.ReadContentRequest(digest=digest, size=most)
    return b"".join(response.data for response in read(request, timeout=timeout))
