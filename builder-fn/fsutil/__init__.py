"""The sending half of DiffCopy, after tonistiigi/fsutil as vendored by moby/buildkit v0.32.2. All pure."""

from .filepath_match import PatternError
from .sender import Sender, SenderError
from .walk import Patterns, walk

__all__ = ["PatternError", "Patterns", "Sender", "SenderError", "walk"]
