def handle(event: bytes) -> bytes:
    """Shout.

    >>> handle(b"a")
    b'A'
    """
    return event.upper()
