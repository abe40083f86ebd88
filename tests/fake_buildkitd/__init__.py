"""A buildkitd in this process: real gRPC on a Unix socket, in memory, and as tests want it.

    daemon      the server, its faults (silence, death, what comes late) and the way to it
    monitor     the one lock, the waits under it, and the places where a test holds the daemon up
    solver      Control's Solve and Status: jobs, and for how long one keeps its ref
    progress    the Status of one job, as an early and as a late reader gets it
    history     ListenBuildHistory: what is active, what has been completed, and how one hears of it
    bridge      LLBBridge: builds that name no frontend wait here for a client to be one
    sessions    Control's Session: calls back on what a build exposes
    content     the content service's Read
    fixtures    `daemon` and `control`, for the folders whose tests need one
    failure     errors as the daemon sends them, details and all
    build       what a script can do to a build
    scripts     builds as a daemon plays them, each with the Dockerfile that the real one plays so
    hearing     a build on any daemon, and all that is said of it
    transcript  all that a daemon says of one build, to compare the two by
    contract    what the fake holds to, as claims that are tried on the real daemon, too

It holds to moby/buildkit v0.32.2; what a module follows, it names. A request that no client of ours should
send fails rather than being tolerated.
"""

from .build import Build
from .daemon import FakeBuildkitd
from .failure import Failure
from .monitor import Point

__all__ = ["Build", "Failure", "FakeBuildkitd", "Point"]
