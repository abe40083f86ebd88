"""Reads /proc and sends signals. Tells processes apart, and finds all that a process has started."""

import os
import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Process:
    """A process that cannot be confused with a later one: pids are used again, start times not."""

    pid: int
    started: int  # clock ticks after boot, /proc/PID/stat field 22

    @property
    def alive(self) -> bool:
        return find(self.pid) == self

    def send(self, number: signal.Signals) -> None:
        """Signal the process if it still lives, and no later one under its id."""
        with suppress(ProcessLookupError), _opened(self.pid) as descriptor:
            # Alive after the opening: then the descriptor is this process, and stays it.
            if self.alive:
                signal.pidfd_send_signal(descriptor, number)


class UserNamespaces:
    """The user namespaces of a daemon, held open.

    What runs in a container is adopted by init when its parent dies; its namespace still tells whose it
    is. The kernel gives the number of a namespace to another one as soon as the first is gone, which an
    open file prevents.
    """

    def __init__(self) -> None:
        self._held: dict[int, int] = {}  # descriptors by number

    def hold(self, members: Iterable[Process]) -> None:
        """Hold those that these processes live in, other than our own."""
        own = _user_namespace(os.getpid())
        for member in members:
            number = _user_namespace(member.pid)
            if number not in self._held and number not in {None, own}:
                self._open(member, own)

    def release(self) -> None:
        """Forget them all: nobody who lived there is left."""
        while self._held:
            os.close(self._held.popitem()[1])

    def __contains__(self, number: int | None) -> bool:
        return number in self._held

    def __bool__(self) -> bool:
        return bool(self._held)

    def __del__(self) -> None:
        self.release()

    def _open(self, member: Process, own: int | None) -> None:
        try:
            descriptor = os.open(f"/proc/{member.pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return  # it has ended
        number = os.fstat(descriptor).st_ino
        # Another process may have the id by now, unless it is the same still.
        if number == own or number in self._held or not member.alive:
            os.close(descriptor)
        else:
            self._held[number] = descriptor


def find(pid: int) -> Process | None:
    """Find the process with this id, unless it has ended (a zombie has ended)."""
    status = _status(pid)
    return None if status is None else status[0]


def family(process: Process, namespaces: UserNamespaces | None = None) -> set[Process]:
    """Return the process and its descendants, with everyone in a user namespace that one of them made.

    `namespaces` are those that were theirs earlier; their present ones are held there from now on.
    """
    held = UserNamespaces() if namespaces is None else namespaces
    children: dict[int, list[Process]] = {}
    living = dict(_living())
    for child, parent in living.items():
        children.setdefault(parent, []).append(child)
    members: set[Process] = set()
    waiting = [process] if process in living else []
    while waiting:
        member = waiting.pop()
        members.add(member)
        waiting += children.get(member.pid, [])
    held.hold(members)
    if held:
        members |= {each for each in living if _user_namespace(each.pid) in held}
    return members


@contextmanager
def _opened(pid: int) -> Iterator[int]:
    descriptor = os.pidfd_open(pid)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _living() -> Iterator[tuple[Process, int]]:
    for name in os.listdir("/proc"):  # noqa: PTH208 - called often, and ten times as fast
        if name.isdigit() and (status := _status(int(name))):
            yield status


def _status(pid: int) -> tuple[Process, int] | None:
    try:
        with open(f"/proc/{pid}/stat", errors="replace") as file:  # noqa: PTH123 - as above
            text = file.read()
    except OSError:
        return None
    # proc_pid_stat(5): the command, field 2, stands in parentheses and may hold any character.
    fields = text.rpartition(")")[2].split()
    if fields[0] in "ZX":
        return None
    return Process(pid, int(fields[19])), int(fields[1])


def _user_namespace(pid: int) -> int | None:
    try:
        return os.stat(f"/proc/{pid}/ns/user").st_ino  # noqa: PTH116 - as above
    except OSError:
        return None
