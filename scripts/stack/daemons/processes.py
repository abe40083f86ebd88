"""Reads /proc and sends signals. Who a process is, and everyone it brought into the world."""

import os
import signal
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
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
        """Signals the process if it still lives."""
        if self.alive:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)


def find(pid: int) -> Process | None:
    """The process with this id, unless it has ended (a zombie has ended)."""
    status = _status(pid)
    return None if status is None else status[0]


def family(process: Process, also: Collection[int] = ()) -> set[Process]:
    """The process and its descendants, with everyone in a user namespace that one of them made.

    What runs in a container is adopted by init when its parent dies; the namespace still tells.
    `also` are namespaces that were theirs earlier.
    """
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
    wanted = namespaces(members) | set(also)
    if wanted:
        members |= {each for each in living if _user_namespace(each.pid) in wanted}
    return members


def namespaces(members: Iterable[Process]) -> set[int]:
    """The user namespaces these processes live in, other than our own."""
    found = {_user_namespace(member.pid) for member in members}
    return {number for number in found if number is not None} - {_user_namespace(os.getpid())}


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
