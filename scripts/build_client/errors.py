"""Pure. Names everything that can go wrong between the handler and the answer, and the exit code of each.

    ClientError 2
    ├── UsageError          an argument or a file: the person at the keyboard must act
    ├── UnreachableError         no builder could be asked
    ├── RefusedError             a builder was asked and turned the request down before building
    │   └── NotFoundError        since it knows of nothing of the kind
    ├── StreamBrokenError 1      the builder began, and its answer ended without a verdict
    └── UntrustedError 1         an answer came, and it is not the builder's

A build that failed is an answer, not an exception (answer.py), and exits with 1 as well.
"""

from __future__ import annotations

from typing import ClassVar


class ClientError(Exception):
    """An error whose message is a sentence or two for a person: what went wrong, and what to do."""

    exit_code: ClassVar[int] = 2


class UsageError(ClientError):
    pass


class UnreachableError(ClientError):
    pass


class RefusedError(ClientError):
    pass


class NotFoundError(RefusedError):
    pass


class StreamBrokenError(ClientError):
    """An answer that ended without a verdict. *build_id* is the build's, as far as one was told."""

    exit_code = 1

    def __init__(self, message: str, build_id: str = "") -> None:
        super().__init__(message)
        self.build_id = build_id


class UntrustedError(ClientError):
    exit_code = 1
