"""Pure. The one exception of the stack: a sentence for the person at the terminal."""


class StackError(Exception):
    """Something the person can act on: what is wrong and what to do, in one sentence."""
