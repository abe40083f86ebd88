"""Reads the caller's folders, and makes of them the tar that is sent.

overlay      which folders make a context: a template with the handler laid over it, or one plain folder
dockerfile   which Dockerfile -f names
walk         what is in a folder: what travels, what is left out, what cannot be sent
ignore_file  Pure. Whether .dockerignore leaves a path out
files        the context: which file provides which path
archive      context, config and sealed secrets as bytes, with the files' own times and modes
"""

from .files import Context
from .overlay import NO_TEMPLATE, find_template, overlay

__all__ = ["NO_TEMPLATE", "Context", "find_template", "overlay"]
