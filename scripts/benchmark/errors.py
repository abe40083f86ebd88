"""Pure. The one error: a benchmark that cannot be believed ends with a sentence."""


class BenchmarkError(Exception):
    """A part did not start, a build failed, or a build did not do the work that was measured."""
