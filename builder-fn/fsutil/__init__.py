"""The sending half of DiffCopy, after tonistiigi/fsutil as vendored by moby/buildkit v0.32.2.

All pure but for `folder`.

tree            a build context as values
sparse          a file with holes
folder          a folder of a disk, read as such a context
walk            the entries of a context that a request asks for
patterns        include, exclude and .dockerignore patterns
filepath_match  one pattern's wildcards, as Go's path/filepath has them
go_regexp       Go's regular expressions, as far as patterns need them
automaton       patterns matched in linear time
follow_paths    the paths that a Dockerfile's COPY names, links followed
order           the order in which DiffCopy wants its entries
sender          the packets of one DiffCopy
wire            the few bytes that are framed by hand
"""

from .filepath_match import PatternError
from .folder import read_folder
from .follow_paths import follow
from .sender import Sender, SenderError, UnfitEntry
from .tree import Entry, Kind, Tree, sort_key
from .walk import Patterns, walk

__all__ = [
    "Entry",
    "Kind",
    "PatternError",
    "Patterns",
    "Sender",
    "SenderError",
    "Tree",
    "UnfitEntry",
    "follow",
    "read_folder",
    "sort_key",
    "walk",
]
