"""All builds of all replicas: the daemon's history is the only store, and this reads and writes it.

    history       the history of one daemon: what the rest of the function asks
    refs          the names of a build's records
    annotations   what our records say more than the daemon's own
    search        the records asked for
    attempt       records read as attempts, and an attempt as one BuildRecord
    active        records read as builds that wait or run, whose they are, and in which order
    standing      the table of how an attempt stands
    claim         the one replica that answers for a build
    ref_lock      a build that does nothing but hold its ref: what claims and journals are made of
    journal/      the record of a build with secrets, written by us
    verdict       why an owner ended a build
    cancellation  requests to cancel, heard by the owner; and whatever else is heard, passed on
    ended         the builds that ended, as far as a replica heard of them
    memory        those of one daemon: listened for, and read up on
    follow        a build followed by anybody, from the line to its end
    outcome_json  how a build ended, as JSON in our records
    viewer        the builds that somebody who asks may know of

Glossary.
    build    what a caller asked for, known by its id: 32 hexadecimal digits.
    attempt  one try at a build. An attempt that was abandoned is followed by another under the same id.
    ref      an attempt's name at the daemon: the id, from the second attempt on with ".2", ".3", …
    owner    the replica that runs an attempt. It holds the claim.
    claim    a Solve that waits beside the build's own, as long as its owner lives. The daemon refuses a
             second one of the same ref, and ends it with the owner's connection: so it is a lock.
    journal  a Solve that waits under the public ref while the real one, with secrets, runs as an internal
             build under a random ref; the redacted log goes into it as warnings.
    verdict  a record that says why the owner ended an attempt, left before the attempt is ended.
    cancel   a record that asks the owner to end an attempt.

A build's life, from left to right, in records by their names at the daemon:

    claim-ID    ├─────────────────────────────────────────────┤  waits, runs, ends
    ID               (in line)      ├─────────────────────┤      the build itself, or its journal
    cancel-ID                                    ·               asked by any replica
    verdict-ID                                          ·        why the owner ended it

A replica that dies leaves a broken claim (it has an error), and perhaps a build about which the daemon still
is: the next replica to look reads "interrupted" off these two, and may claim ID.2 at once.
"""

from .active import ActiveBuild
from .attempt import BuildRecord
from .claim import Claim
from .ended import EndedBuilds
from .follow import Follow
from .history import History
from .journal import Journal
from .refs import Ref, is_build_id, unlisted_ref
from .standing import State
from .viewer import ALL, Viewer

__all__ = [
    "ALL",
    "ActiveBuild",
    "BuildRecord",
    "Claim",
    "EndedBuilds",
    "Follow",
    "History",
    "Journal",
    "Ref",
    "State",
    "Viewer",
    "is_build_id",
    "unlisted_ref",
]
