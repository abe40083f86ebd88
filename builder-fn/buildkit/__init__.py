"""A client of buildkitd in Python: it builds, follows and describes; README.md shows a program.

    client      the way to one daemon
    solve       one build: the request, the gateway for secrets, and the end
    session     what the daemon may call back for: files, credentials, secrets
    progress    what Status says, as log lines, steps, phases and pushes
    failure     a failed Solve as a sentence and a failed step
    image       the daemon's content store, and an image described from it
    rpc         Control and LLBBridge on a gRPC channel, and whether the daemon is there
    outcome     what a build comes to, as values
    errors      every way to end badly
    text        what BuildKit prints and we go by, and a build's words made fit for an error

With `fsutil` and `pb` beside it this package stands alone: it imports nothing else of the function.
"""

from .client import Client
from .errors import (
    BuildkitError,
    CredentialsUnavailable,
    DaemonFault,
    DaemonTroubled,
    DaemonUnavailable,
    Misconfigured,
    SolveFailed,
    SourceDenied,
    Trouble,
)
from .outcome import BuildResult, BuildWarning, FailedStep, Step
from .progress.phases import BUILD, EXPORT, PULL, PUSH, TRANSFER
from .progress.redactor import NOTHING_SECRET, Redactor
from .rpc.channel import DaemonTLS
from .rpc.daemon_watch import DaemonState
from .session.auth import ANONYMOUS, Credentials
from .session.services import session_services
from .solve.index import PushedImage
from .solve.request import SolveSpec
from .solve.secret_ids import KeyedSecrets, keyed
from .solve.solve import Solve
from .solve.source_policy import OWN_SESSION, Action, SourceRule

__all__ = [
    "ANONYMOUS",
    "BUILD",
    "EXPORT",
    "NOTHING_SECRET",
    "OWN_SESSION",
    "PULL",
    "PUSH",
    "TRANSFER",
    "Action",
    "BuildResult",
    "BuildWarning",
    "BuildkitError",
    "Client",
    "Credentials",
    "CredentialsUnavailable",
    "DaemonFault",
    "DaemonState",
    "DaemonTLS",
    "DaemonTroubled",
    "DaemonUnavailable",
    "FailedStep",
    "KeyedSecrets",
    "Misconfigured",
    "PushedImage",
    "Redactor",
    "Solve",
    "SolveFailed",
    "SolveSpec",
    "SourceDenied",
    "SourceRule",
    "Step",
    "Trouble",
    "keyed",
    "session_services",
]
