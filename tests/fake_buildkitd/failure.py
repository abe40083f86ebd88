"""Errors as the daemon sends them: a status, and beside it a google.rpc.Status with the details."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

import grpc

from function.pb import rpc_status_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Mapping


class Failure(Exception):
    """Fails a call. *details* are values by type URL."""

    def __init__(
        self,
        message: str,
        code: grpc.StatusCode = grpc.StatusCode.UNKNOWN,
        details: Mapping[str, bytes] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.details = details or {}

    @classmethod
    def of_status(cls, data: bytes) -> Failure:
        """Return what a google.rpc.Status says."""
        status = pb.Status.FromString(data)
        code = next(each for each in grpc.StatusCode if each.value[0] == status.code)
        return cls(status.message, code, {each.type_url: each.value for each in status.details})

    @property
    def number(self) -> int:
        number: int = self.code.value[0]
        return number

    def status(self) -> bytes:
        details = [pb.Detail(type_url=name, value=value) for name, value in self.details.items()]
        status = pb.Status(code=self.number, message=self.message, details=details)
        return status.SerializeToString()

    def abort(self, context: grpc.ServicerContext) -> NoReturn:
        if self.details:
            context.set_trailing_metadata((("grpc-status-details-bin", self.status()),))
        context.abort(self.code, self.message)
        raise AssertionError


CANCELED = "context canceled"


def no_such_job(ref: str, during: str = "") -> Failure:
    """Name a job that is not there (solver/errdefs/jobs.go)."""
    prefix = f"forwarding {during}: " if during else ""
    return Failure(f"{prefix}no such job {ref}", grpc.StatusCode.NOT_FOUND)
