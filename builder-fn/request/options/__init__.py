"""Pure. The options of a build that a request may set.

documents       JSON objects, strictly read
readers         one kind of value each
build_config    the options there are, and how several documents make one config
"""

from .build_config import OPTIONS_FILES, BuildConfig
from .documents import Document

__all__ = ["OPTIONS_FILES", "BuildConfig", "Document"]
