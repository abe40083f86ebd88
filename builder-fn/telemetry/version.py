"""Pure. The builder's version: that of pyproject.toml, which is not deployed."""

VERSION = "0.2.0"
