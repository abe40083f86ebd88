"""The public record of a build with secrets, which must not have one of the daemon's own.

journal   the record: opened, written, ended
entries   log lines as the daemon's warnings, and back
log_tail  a log's end, and how much is left out
"""

from .entries import JournalLog
from .journal import Journal

__all__ = ["Journal", "JournalLog"]
