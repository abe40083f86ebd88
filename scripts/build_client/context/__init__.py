"""Reads the caller's folders, and makes of them the tar that is sent."""
