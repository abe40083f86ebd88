"""The daemon: everything that is said to buildkitd, and everything it may ask of us.

Protobuf and gRPC types stay inside; callers hand in a SolveSpec and services, and get lines and a result.
"""

from .client import Client
from .services import session_services
from .solve import Solve
from .solve_request import SolveSpec
from .stamps import StampedSecrets, stamped

__all__ = ["Client", "Solve", "SolveSpec", "StampedSecrets", "session_services", "stamped"]
