"""Pure. Every way a build request can end badly, sorted by the party that must act.

Foreign exceptions (tarfile, zlib, gRPC, h2) are translated where they enter, `from exc`; above that
boundary only this tree is raised. A message is one or two sentences for the caller: what was wrong and
what to do. It never carries a secret, a daemon path or a stack trace.

    BuilderError
    ├── RequestError 400            the caller must change the request
    │   ├── SignatureError 401
    │   │   └── RequestExpired 401
    │   ├── Forbidden 403
    │   │   ├── PushRefused 403
    │   │   └── PolicyRefused 403
    │   ├── NotFound 404
    │   ├── MethodNotAllowed 405
    │   ├── BodyTooLarge 413
    │   ├── ArchiveError 400
    │   ├── ConfigError 400
    │   ├── SecretsError 400
    │   └── QuestionError 400
    ├── BuildFailed 422             the caller must change the source
    │   ├── BuildTimedOut 422
    │   └── BuildCancelled 422
    ├── Busy 429                    the caller may try again later
    │   └── TenantLimit 429
    ├── CallerGone 422              nobody was left to answer
    ├── RecordsOff 501              the operator must have buildkitd keep records
    └── Unavailable 503             the operator, or time, must mend it
        ├── NotReady
        ├── Interrupted
        ├── NoRoom
        ├── DaemonUnavailable
        ├── PlatformUnavailable
        └── DaemonFault
            └── DaemonTroubled
"""

from __future__ import annotations

import math
from http import HTTPStatus
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from .buildkit.outcome import FailedStep


class BuilderError(Exception):
    """Root of the tree; *status* is the HTTP status of a single JSON answer, *code* a word for logs."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal"
    retry_after: int | None = None  # seconds
    failed_step: FailedStep | None = None

    @property
    def own_fault(self) -> bool:
        """Tell whether the builder or its operator is to blame, and not the caller."""
        return self.status >= HTTPStatus.INTERNAL_SERVER_ERROR


class RequestError(BuilderError):
    status = 400
    code = "bad_request"


class SignatureError(RequestError):
    status = 401
    code = "bad_signature"


class RequestExpired(SignatureError):
    """The signature is right, and too old: the clocks differ, or somebody sends again what was captured."""

    code = "request_expired"


class Forbidden(RequestError):
    """The signature is right, and its holder may not have what it asks for."""

    status = 403
    code = "forbidden"


class PushRefused(Forbidden):
    """The image's name belongs to somebody else."""

    code = "push_refused"


class PolicyRefused(Forbidden):
    """The build asks for what the operator's policy forbids; *source* is that, where the daemon names it."""

    code = "policy_refused"

    def __init__(
        self, message: str, failed_step: FailedStep | None = None, *, source: str = ""
    ) -> None:
        super().__init__(message)
        self.failed_step = failed_step
        self.source = source


class NotFound(RequestError):
    status = 404
    code = "not_found"


class MethodNotAllowed(RequestError):
    status = 405
    code = "method_not_allowed"

    def __init__(self, message: str, allowed: tuple[str, ...]) -> None:
        super().__init__(message)
        self.allowed = allowed


class BodyTooLarge(RequestError):
    status = 413
    code = "too_large"
    # Whether the limit is the settings' or a tenant's own.
    remedy = "Leave out what the build does not need, or ask the operator of the builder for more."


class ArchiveError(RequestError):
    """The body is not a tar that a build can be made from."""

    code = "bad_archive"


class ConfigError(RequestError):
    """com.openfaas.docker.config says something that cannot be built."""

    code = "bad_config"


class SecretsError(RequestError):
    """com.openfaas.secrets cannot be opened, or says something that cannot be used."""

    code = "bad_secrets"


class QuestionError(RequestError):
    """A request about builds says something that cannot be answered."""

    code = "bad_command"


class BuildFailed(BuilderError):
    """The daemon answered, and what it said is the caller's to mend."""

    status = 422
    code = "build_failed"

    def __init__(self, message: str, failed_step: FailedStep | None = None) -> None:
        super().__init__(message)
        self.failed_step = failed_step


class BuildTimedOut(BuildFailed):
    code = "build_timed_out"


class BuildCancelled(BuildFailed):
    """Somebody who may has asked for the build's end."""

    code = "build_cancelled"


class Busy(BuilderError):
    status = 429
    code = "busy"
    retry_after = 10

    def __init__(self, message: str, wait: float | None = None) -> None:
        """Tell the caller the expected *wait* in seconds; an hour is the most that is told."""
        super().__init__(message)
        if wait is not None:
            self.retry_after = max(1, min(math.ceil(wait), 3600))


class TenantLimit(Busy):
    """The builder has room, and the caller's own limits do not allow more builds now."""

    code = "tenant_limit"


class CallerGone(BuilderError):
    """The caller hung up: it learns the result later, and may order the build again."""

    status = 422
    code = "caller_gone"


class RecordsOff(BuilderError):
    """buildkitd keeps no records of builds, without which none can be claimed or asked about.

    No queue tries again what is answered with a 501.
    """

    status = 501
    code = "records_off"

    def __init__(self, unless: str = "") -> None:
        """Say so; *unless* says what else it may be that there are none."""
        super().__init__(
            "buildkitd keeps no records of builds, so none can be asked about, detached or redelivered. "
            f"{unless}Have its operator set maxEntries under [history] in buildkitd.toml to 1 or more."
        )


class Unavailable(BuilderError):
    status = 503
    code = "unavailable"
    retry_after = 5


class NotReady(Unavailable):
    """Something an operator must provide is missing, such as the payload secret."""

    code = "not_ready"


class Interrupted(Unavailable):
    """The replica is shutting down and could not finish the build."""

    code = "interrupted"


class NoRoom(Unavailable):
    """The memory that all requests' bodies share is taken by others."""

    code = "no_memory"


class DaemonUnavailable(Unavailable):
    """buildkitd refused the connection, died, or fell silent."""

    code = "buildkitd_unavailable"


class PlatformUnavailable(Unavailable):
    """Says that the daemon of some of a build's platforms went, and that there is no other for them.

    The one that keeps the build's record is still there.
    """

    code = DaemonUnavailable.code  # for callers it is the same: they try again


class DaemonFault(Unavailable):
    """buildkitd could not carry the build on, for a trouble of its own such as a full disk."""

    code = "buildkitd_fault"


class DaemonTroubled(DaemonFault):
    """buildkitd said so itself before the build's end: another one may carry it on."""
