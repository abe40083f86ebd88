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

from ...pb import content_pb2 as pb
from ..outcome import BuildResult
from .manifest import Index, MalformedManifest, Manifest, parse, platform_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .manifest import Descriptor

_log = logging.getLogger(__name__)

_READ = "/containerd.services.content.v1.Content/Read"

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
    """The content of one image. It is read in a thread of its own, which ends within seconds.

    What is *known* is not read.
    """

    def __init__(
        self, channel: grpc.Channel, digest: str, known: KnownImages | None = None
    ) -> None:
        self._known = known or KnownImages()
        self._channel = channel
        self.digest = digest
        self._deadline = time.monotonic() + _MAX_SECONDS
        self._blobs = _MAX_BLOBS
        self._bytes = _MAX_BYTES
        self._result = self._known.get(digest) or BuildResult(digest=digest)
        self._thread = threading.Thread(target=self._run, name="content", daemon=True)
        if self._known.get(digest) is None:
            self._thread.start()

    def result(self) -> BuildResult:
        """Wait for the result and return it; once there is no more time, return the digest alone.

        An image that cannot be read about has been built all the same.
        """
        if self._thread.is_alive():
            self._thread.join(max(0.0, self._deadline - time.monotonic()))
        return self._result

    def _run(self) -> None:
        try:
            self._result = self._described()
            self._known.add(self._result)
        except grpc.RpcError as exc:
            self._say_unknown(exc.details() or "no reason given")
        except (MalformedManifest, ValueError) as exc:  # the latter if the channel has been closed
            self._say_unknown(str(exc))

    def _say_unknown(self, reason: str) -> None:
        _log.warning("the size and platforms of %s are not known: %s", self.digest, reason)

    def _described(self) -> BuildResult:
        top = self._blob(self.digest)
        image = parse(top)
        if isinstance(image, Index):
            platforms = [entry.platform for entry in image.manifests]
        else:
            platforms = [platform_of(self._blob(image.config.digest))]
        # A registry keeps a blob once, whatever refers to it.
        sizes = {blob.digest: blob.size for blob in self._blobs_of(image)}
        return BuildResult(
            digest=self.digest,
            size=len(top) + sum(sizes.values()),
            platforms=tuple(filter(None, platforms)),
        )

    def _blobs_of(self, image: Index | Manifest) -> Iterator[Descriptor]:
        """Yield all that *image* refers to, and what that refers to."""
        if isinstance(image, Manifest):
            yield image.config
            yield from image.layers
            return
        for entry in image.manifests:
            yield entry
            yield from self._blobs_of(parse(self._blob(entry.digest)))

    def _blob(self, digest: str) -> bytes:
        self._blobs -= 1
        if self._blobs < 0 or self._bytes <= 0:
            raise MalformedManifest("more documents than an image has")
        timeout = max(0.0, self._deadline - time.monotonic())
        # What is longer comes cut off, and is no JSON.
        data = read_blob(self._channel, digest, most=self._bytes, timeout=timeout)
        self._bytes -= len(data)
        return data


def read_blob(channel: grpc.Channel, digest: str, *, most: int, timeout: float) -> bytes:
    """Read at most *most* bytes, in at most *timeout* seconds. Raises grpc.RpcError."""
    read = channel.unary_stream(
        _READ,
        request_serializer=pb.ReadContentRequest.SerializeToString,
        response_deserializer=pb.ReadContentResponse.FromString,
    )
    request = pb.ReadContentRequest(digest=digest, size=most)
    return b"".join(response.data for response in read(request, timeout=timeout))
