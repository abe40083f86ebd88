"""Pure. A secret as programs write it: plainly, in base64, in hexadecimal.

What base64 makes of a value depends on where in a longer text it begins, modulo 3, and on its neighbours
by its first and last bits. The characters that hold nothing but the value are a form; there are three.
"""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING

from .encoded import base64_at, hexadecimal
from .index import MIN_FORM
from .parts import Part, cleaned, parts_of
from .pieces import Form
from .views import as_views_have

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

# So many characters of a token or of anything encoded: 12 bytes in base64, 8 in hexadecimal, two lines of
# `fold -w 8`; text does not contain them by chance.
_RUN = 16
# Of long ones, whose seeds would fill memory: less than a line of `base64` (76), `xxd -p` (60) or PEM (64).
_LONG, _LONG_RUN = 64 * 1024, 48
# All values are taken for long ones when they have more bytes than this together.
_MANY_BYTES = 64 * 1024
# So many parts of all values are looked for encoded, beside the values themselves; and so many of what a
# parser makes of passwords, beside these as they stand in their file.
_MOST_ENCODED, _MOST_MEANINGS = 4 * 1024, 16 * 1024
# A longer part is looked for as it is, and its own parts as views may have them.
_LONG_PART = 8 * 1024
# So much of a text in a language may be a name, a host and a path that others use as well.
_TEXT_RUN = 64

# What base64 makes of a part with at least so many bytes has a run in what it makes of the whole value;
# shorter ones have forms of their own. A part of a long value is looked for as it is.
_BYTES_OF_RUN = 14

_ASCII_SPACE = b" \t\r\n\x0b\x0c"


def forms_of(values: Collection[bytes]) -> Iterator[Form]:
    """Yield all but the short ones, some of them twice; see `short_forms_of`."""
    many = sum(map(len, values)) > _MANY_BYTES
    encoded = meanings = 0
    for value in values:
        core = value.strip(_ASCII_SPACE)
        yield from _encoded(core, begins=True, many=many)
        short = 0 if _run(2 * len(core), many=many) > _RUN else _BYTES_OF_RUN
        texts = list(_texts(core))
        for number, text in enumerate(texts):
            for index, part in enumerate(parts_of(text)):
                meanings += not part.verbatim
                if not part.verbatim and meanings > _MOST_MEANINGS:
                    continue
                begins = index == 0 and number == 0
                yield from _plain(part, begins=begins, is_utf_8=len(texts) == 1)
                if not index or number or encoded == _MOST_ENCODED:
                    continue
                data = part.text.encode()
                if len(data) < short or not part.verbatim:
                    encoded += 1
                    yield from _encoded(data, begins=False, many=many)


def short_forms_of(value: bytes) -> Iterator[str]:
    """Those that are looked for where they stand alone, since they are short or no word at all."""
    core = value.strip(_ASCII_SPACE)
    if not core:
        return
    texts = list(_texts(core))
    for text in texts:
        whole = next(parts_of(text)).text
        for viewed in _as_viewed(whole, is_utf_8=len(texts) == 1):
            if viewed and not _is_findable(viewed):
                yield viewed
    if len(core) < MIN_FORM:
        for data in (core, core + b"\n", core + b"\r\n"):
            for encode in (base64.b64encode, base64.urlsafe_b64encode):
                yield encode(data).decode()
                yield encode(data).decode().rstrip("=")


def _texts(core: bytes) -> Iterator[str]:
    """Yield *core* as a log's decoder leaves it, and if that loses bytes, as Latin-1 does."""
    try:
        yield core.decode()
    except UnicodeDecodeError:
        yield core.decode(errors="replace")
        yield core.decode("latin-1")


def _plain(part: Part, *, begins: bool, is_utf_8: bool) -> Iterator[Form]:
    for text in _as_viewed(part.text, is_utf_8=is_utf_8):
        if _is_findable(text):
            run = _run(len(text)) if part.opaque else _TEXT_RUN
            yield Form(text, run, begins=begins or part.opaque)


def _as_viewed(text: str, *, is_utf_8: bool) -> set[str]:
    if len(text) > _LONG_PART:
        return {text}
    viewed = as_views_have(text, is_utf_8=is_utf_8)
    return {text, *(cleaned(other) for other in viewed if other != text)}


def _is_findable(text: str) -> bool:
    """Tell whether it is long enough to be looked for inside words, and more than a rule or an indent."""
    words = re.search(r"\w", text.replace("_", ""))
    return len(text) >= (MIN_FORM if words else _TEXT_RUN)


def _encoded(data: bytes, *, begins: bool, many: bool) -> Iterator[Form]:
    if len(data) < MIN_FORM:
        return
    run = _run(2 * len(data), many=many)
    for upper in (False, True):
        yield Form(hexadecimal(data, upper=upper), run, begins=begins)
    for shift in range(3):
        yield Form(
            base64_at(data, shift),
            run,
            before=bool(shift),
            after=bool(8 * (shift + len(data)) % 6),
            begins=begins,
        )


def _run(length: int, *, many: bool = False) -> int:
    return _LONG_RUN if many or length > _LONG else _RUN
