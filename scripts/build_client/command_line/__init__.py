"""Pure. Reads the command lines: what to build, or what to ask about a build."""
