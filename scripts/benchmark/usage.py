"""Reads /proc and the process's CPU clock. What a process has taken of the machine so far."""

import resource
import time
from dataclasses import dataclass
from pathlib import Path

# linux include/linux/posix-timers.h, MAKE_PROCESS_CPUCLOCK with CPUCLOCK_SCHED.
_CPUCLOCK_SCHED = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Of all threads together, those that have ended too."""

    cpu: float  # user and system time in seconds
    faults: int  # page faults, minor and major

    def since(self, earlier: "Usage") -> "Usage":
        return Usage(cpu=self.cpu - earlier.cpu, faults=self.faults - earlier.faults)


def of_process(pid: int) -> Usage:
    """Return the usage of a process. Raises OSError when there is no such process."""
    # What clock_getcpuclockid(3) names: the sum of the two figures in /proc/PID/stat, which come in
    # ticks of 10 ms, in nanoseconds.
    cpu = time.clock_gettime((~pid << 3) | _CPUCLOCK_SCHED)
    return Usage(cpu=cpu, faults=_faults(Path(f"/proc/{pid}/stat").read_text()))


def of_children() -> Usage:
    """Return the usage of all that this process has started and waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Usage(
        cpu=used.ru_utime + used.ru_stime,
        faults=used.ru_minflt + used.ru_majflt,
    )


def _faults(stat: str) -> int:
    # proc_pid_stat(5): the command, field 2, stands in parentheses and may hold any character;
    # minflt is field 10 and majflt field 12.
    fields = stat.rpartition(")")[2].split()
    return int(fields[7]) + int(fields[9])
