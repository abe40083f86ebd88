"""Connections. Finds an operation of a builder, and says why it cannot be reached."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlsplit

from ..errors import UnreachableError, UsageError
from ..text import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

# What may stand in a path or query as it is (RFC 3986, 3.3 and 3.4), and "%" of what is quoted already.
_URL: Final = "/%:@!$&'()*+,;=-._~?"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The address of an operation: <url>/build and its like, also below a gateway's /function/NAME."""

    scheme: str
    host: str
    port: int | None
    target: str

    @classmethod
    def parse(cls, url: str, operation: str = "build") -> Endpoint:
        """Read *url*, whose query stays. Raises UsageError."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
            (host or "").encode("idna")
        except ValueError:
            host, port = None, None
        spaces = any(not character.isprintable() or character == " " for character in url)
        if not host or spaces or parts.scheme not in {"http", "https"}:
            raise UsageError(
                f'"{shown(url)}" is no builder URL: it should look like http://127.0.0.1:8080.'
            )
        path = quote(parts.path, safe=_URL).rstrip("/").removesuffix("/build")
        query = quote(parts.query, safe=_URL)
        target = f"{path}/{operation}"
        return cls(parts.scheme, host, port, f"{target}?{query}" if query else target)

    @contextlib.contextmanager
    def connected(self, timeout: float) -> Iterator[http.client.HTTPConnection]:
        """Connect; the other end may say nothing for *timeout* seconds. Raises UnreachableError."""
        kind = http.client.HTTPSConnection if self.scheme == "https" else http.client.HTTPConnection
        with contextlib.closing(kind(self.host, self.port, timeout=timeout)) as connection:
            self._connect(connection)
            yield connection

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}{'' if self.port is None else f':{self.port}'}"

    @property
    def url(self) -> str:
        return f"{self}{self.target}"

    def _connect(self, connection: http.client.HTTPConnection) -> None:
        try:
            connection.connect()
        except ssl.SSLError as exc:
            raise UnreachableError(
                f"{self} offers no TLS that can be trusted: {exc.reason or exc};"
                " for a CA of your own set SSL_CERT_FILE."
            ) from exc
        except ConnectionRefusedError as exc:
            raise UnreachableError(
                f"Nothing listens at {self}: start the builder, or name another with --url."
            ) from exc
        except socket.gaierror as exc:
            raise UnreachableError(f'There is no host "{self.host}": check --url.') from exc
        except OSError as exc:
            raise UnreachableError(f"{self} cannot be reached: {reason(exc)}.") from exc


def reason(exc: BaseException) -> str:
    """Say why a connection failed, to end a sentence with."""
    if isinstance(exc, OSError) and exc.strerror:
        return exc.strerror.lower()
    return str(exc) or type(exc).__name__
