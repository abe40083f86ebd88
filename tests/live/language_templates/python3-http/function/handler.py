def handle(event: bytes) -> bytes:
    """Shouts.

    >>> handle(b"a")
    b'A'
    """
    return event.upper()
