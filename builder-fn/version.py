"""Pure. Which builder this is: pyproject.toml's version, which is not deployed."""

VERSION = "0.2.0"
