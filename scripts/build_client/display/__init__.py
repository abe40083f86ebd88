"""Shows a build to a person: the live view, plain lines, and how it ended."""
