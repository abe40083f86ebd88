"""Terminal I/O. One line per step, for a person who watches.

Everything goes to standard error: standard output belongs to what a shell may evaluate.
"""

import sys


def step(name: str, text: str) -> None:
    """Print what one part of the stack did or is about to spend time on."""
    print(f"  {name:<12} {text}", file=sys.stderr, flush=True)


def title(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def error(text: str) -> None:
    print(f"error: {text}", file=sys.stderr, flush=True)
