"""Connections. Where an operation of a builder is, and why it cannot be reached."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ..errors import UnreachableError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An operation of a builder: <url>/build and its like, also below a gateway's /function/NAME."""

    scheme: str
    host: str
    port: int | None
    target: str

    @classmethod
    def parse(cls, url: str, operation: str = "build", query: str = "") -> Endpoint:
        """*query* is added to that of *url*."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            host, port = None, None
        if not host or parts.scheme not in {"http", "https"}:
            raise UsageError(
                f'"{url}" is no builder URL: it should look like http://127.0.0.1:8080.'
            )
        path = parts.path.rstrip("/").removesuffix("/build")
        queries = "&".join(filter(None, (parts.query, query)))
        target = f"{path}/{operation}"
        return cls(parts.scheme, host, port, f"{target}?{queries}" if queries else target)

    @contextlib.contextmanager
    def connected(self, timeout: float) -> Iterator[http.client.HTTPConnection]:
        """*timeout* is how many seconds the other end may say nothing. Raises UnreachableError."""
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
    """Why a connection failed, to end a sentence with."""
    if isinstance(exc, OSError) and exc.strerror:
        return exc.strerror.lower()
    return str(exc) or type(exc).__name__
