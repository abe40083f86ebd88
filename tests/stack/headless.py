"""A process whose first thread has ended before the others, as that of each process may that is told to end.

For a moment, if the others are many and busy; of this one, until it is killed.
"""

import sys
from pathlib import Path

from ..live.waiting import wait_until

# It tells its port, and the thread that is left listens there.
COMMAND = (
    sys.executable,
    "-c",
    """
import ctypes, platform, socket, threading, time

listener = socket.create_server(("127.0.0.1", 0))
threading.Thread(target=time.sleep, args=(600,)).start()
print(listener.getsockname()[1], flush=True)
exit_alone = {"x86_64": 60}.get(platform.machine(), 93)  # the number of exit(2)
ctypes.CDLL(None).syscall(exit_alone, 0)
""",
)


def wait_until_headless(pid: int) -> None:
    stat = Path(f"/proc/{pid}/stat")
    wait_until(lambda: stat.read_text().rpartition(")")[2].split()[0] == "Z")
