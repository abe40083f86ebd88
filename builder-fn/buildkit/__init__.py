"""The daemon: everything that is said to buildkitd, and everything it may ask of us.

Protobuf and gRPC types stay inside; callers hand in a SolveSpec and services, and get lines and a result.
"""

from ..history.attempt import BuildRecord, State
from ..history.claim import Claim
from ..history.follow import Follow
from ..history.journal import Journal
from ..history.refs import Ref, is_build_id
from .client import Client
from .session.services import session_services
from .solve.request import SolveSpec
from .solve.secret_ids import StampedSecrets, stamped
from .solve.solve import Solve

__all__ = [
    "BuildRecord",
    "Claim",
    "Client",
    "Follow",
    "Journal",
    "Ref",
    "Solve",
    "SolveSpec",
    "StampedSecrets",
    "State",
    "is_build_id",
    "session_services",
    "stamped",
]
