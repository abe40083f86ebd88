"""Pure. The trees of files that the scenarios build.

What is new in a tree is new in content and in modification time. The time matters: the daemon
compares metadata only, so a changed file under its old time would be built stale by buildctl and
rival alike, and look many times faster than it is.
"""

import random
from collections.abc import Iterable
from dataclasses import dataclass

SMALL_FILES = 5_000
SMALL_FILES_PER_FOLDER = 100
SMALL_FILE_BYTES = (100, 2_000)
LARGE_FILE_BYTES = 200 << 20
CHANGING_APP_MODULES = 20
LOGGED_LINES_PER_SECOND = 1_000
LOGGED_SECONDS = 10

# Where the large scenarios copy to: their snapshots are found, and pruned, by this name.
LARGE_DESTINATION = "/benchmark-large/"

_COPY_ONLY = f"FROM scratch\nCOPY . {LARGE_DESTINATION}\n".encode()
_COPY_AND_RUN = b"""\
FROM debian:trixie-slim
WORKDIR /home/app
COPY . .
RUN sha256sum handler.py > handler.sha256
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    path: str  # below the context, '/' between parts
    content: bytes
    modified: int  # Unix seconds: all that a ustar header holds
    mode: int = 0o644


# Prints at the pace of a clock, so that a slow reader makes no fewer lines of it. Perl, since every
# Debian has it and it sleeps for fractions of a second; its own clock counts whole seconds.
_TALK = b"""\
FROM debian:trixie-slim
COPY talk.pl .
RUN perl talk.pl
"""
_TALK_PROGRAM = """\
# %(serial)s
sub now {
    open(my $uptime, '<', '/proc/uptime') or die;
    return (split ' ', <$uptime>)[0];
}
$| = 1;
my ($since, $number) = (now(), 0);
while ($number < %(lines)d) {
    my $due = (now() - $since) * %(per_second)d;
    while ($number < $due && $number < %(lines)d) {
        $number++;
        print "line $number: as long as what a compiler says of one file, more or less\\n";
    }
    select(undef, undef, undef, 0.005);
}
"""

Context = tuple[File, ...]


class ContextSource:
    """Makes contexts. No two that hold something new are alike, in this run or in another one.

    `started` becomes the modification time of everything that never changes, so seeds and start
    times must differ between runs against one daemon.
    """

    def __init__(self, *, sample: Iterable[tuple[str, bytes]], seed: int, started: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - content, not a secret
        self._started = started
        self._serial = 0
        self._sample = tuple(self._old(path, content) for path, content in sample)
        self._app = (
            self._old("Dockerfile", _COPY_AND_RUN),
            *(
                self._old(f"module_{number:02}.py", f"NUMBER = {number}\n".encode() * 50)
                for number in range(CHANGING_APP_MODULES)
            ),
        )

    def unchanged(self) -> Context:
        """Return the sample function, the same every time."""
        return self._sample

    def one_change(self) -> Context:
        """Return a small application whose handler is new."""
        modified = self._next_time()
        handler = f"SERIAL = {self._random.getrandbits(128)}\n".encode()
        return (*self._app, File(path="handler.py", content=handler, modified=modified))

    def small_files(self) -> Context:
        """Return thousands of small files, all new."""
        modified = self._next_time()
        files = (
            File(
                path=f"folder_{number // SMALL_FILES_PER_FOLDER:02}/file_{number:04}.dat",
                content=self._random.randbytes(self._random.randint(*SMALL_FILE_BYTES)),
                modified=modified,
            )
            for number in range(SMALL_FILES)
        )
        return (self._old("Dockerfile", _COPY_ONLY), *files)

    def large_file(self) -> Context:
        """Return one large new file that does not compress."""
        modified = self._next_time()
        content = self._random.randbytes(LARGE_FILE_BYTES)
        return (
            self._old("Dockerfile", _COPY_ONLY),
            File(path="large.dat", content=content, modified=modified),
        )

    def talkative(self) -> Context:
        """Return a step that prints many lines, numbered from 1 on."""
        program = _TALK_PROGRAM % {
            "serial": f"{self._random.getrandbits(64):016x}",
            "lines": LOGGED_LINES_PER_SECOND * LOGGED_SECONDS,
            "per_second": LOGGED_LINES_PER_SECOND,
        }
        return (
            self._old("Dockerfile", _TALK),
            File(path="talk.pl", content=program.encode(), modified=self._next_time()),
        )

    def _old(self, path: str, content: bytes) -> File:
        return File(path=path, content=content, modified=self._started)

    def _next_time(self) -> int:
        # A second apart: many builds fit into one, and equal times would hide a change.
        self._serial += 1
        return self._started + self._serial
