"""Reads /proc and sends signals. Tells processes apart, and finds all that a process has started."""

import os
import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True, order=True)
class Process:
    """A process that cannot be confused with a later one: pids are used again, start times not."""

    pid: int
    started: int  # clock ticks after boot, /proc/PID/stat field 22

    @property
    def alive(self) -> bool:
        """Return whether any of its threads lives: the last one to end closes its files and its sockets."""
        return find(self.pid) == self

    @property
    def ending(self) -> bool:
        """Return whether it lives, but its first thread has ended, as when the process was told to end."""
        status = _status(self.pid)
        return status is not None and status.process == self and status.ending

    def send(self, number: signal.Signals) -> None:
        """Signal the process if it still lives, and no later one under its id."""
        with suppress(ProcessLookupError), _opened(self.pid) as descriptor:
            # Alive after the opening: then the descriptor is this process, and stays it.
            if self.alive:
                signal.pidfd_send_signal(descriptor, number)


class _Status(NamedTuple):
    """A living process, as /proc tells of it."""

    process: Process
    parent: int
    ending: bool


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
    """Find the process with this id, unless it has ended (a zombie without other threads has ended)."""
    status = _status(pid)
    return status and status.process


def family(process: Process, namespaces: UserNamespaces | None = None) -> set[Process]:
    """Return the process and its descendants, with everyone in a user namespace that one of them made.

    `namespaces` are those that were theirs earlier; their present ones are held there from now on.
    """
    held = UserNamespaces() if namespaces is None else namespaces
    children: dict[int, list[Process]] = {}
    living = {each.process: each.parent for each in _living()}
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


def _living() -> Iterator[_Status]:
    for name in os.listdir("/proc"):  # noqa: PTH208 - called often, and ten times as fast
        if name.isdigit() and (status := _status(int(name))):
            yield status


def _status(pid: int) -> _Status | None:
    try:
        with open(f"/proc/{pid}/stat", errors="replace") as file:  # noqa: PTH123 - as above
            text = file.read()
    except OSError:
        return None
    # proc_pid_stat(5): the command, field 2, stands in parentheses and may hold any character.
    fields = text.rpartition(")")[2].split()
    state, parent, threads, started = fields[0], *(int(fields[at]) for at in (1, 17, 19))
    # The first thread is a zombie while others live, and those hold all that the process had open.
    if state == "X" or (state == "Z" and threads <= 1):
        return None
    return _Status(Process(pid, started), parent, ending=state == "Z")


def _user_namespace(pid: int) -> int | None:
    try:
        return os.stat(f"/proc/{pid}/ns/user").st_ino  # noqa: PTH116 - as above
    except OSError:
        return None
