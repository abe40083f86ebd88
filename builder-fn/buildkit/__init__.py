"""The daemon: everything that is said to buildkitd, and everything it may ask of us.

Protobuf and gRPC types stay inside; callers hand in a SolveSpec and services, and get lines and a result.
"""

from .claim import Claim
from .client import Client
from .following import Follow
from .journal import Journal
from .records import BuildRecord, State
from .refs import Ref, is_build_id
from .services import session_services
from .solve import Solve
from .solve_request import SolveSpec
from .stamps import StampedSecrets, stamped

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
