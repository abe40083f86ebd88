"""Measures what taking secrets out of output costs: CPU a MiB, memory, how long other threads wait.

Runs in a process of its own, which has the function's packages: scripts/drill redaction.
"""

from __future__ import annotations

import base64
import gc
import random
import string
import sys
import threading
import time
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_MIB = 1 << 20
_OBJECTS_BEFORE_A_LOOK_FOR_GARBAGE = 10_000


def _rows() -> Iterator[str]:
    yield "| secrets and output | CPU a MiB | memory | of the secrets' own | others wait |"
    yield "|---|---|---|---|---|"
    for name, values, text in _attacks(random.Random(7)):  # noqa: S311 - no secret hangs on it
        seconds, memory, own, wait = _measure(values, text)
        yield (
            f"| {name} | {seconds:.2f} s | {memory:.1f} MiB | {own:.1f} MiB | {1000 * wait:.0f} ms |"
        )


def _attacks(chance: random.Random) -> Iterator[tuple[str, list[bytes], str]]:
    """Yield secrets of the shapes that are hard to look for, with output made for them."""
    letters = string.ascii_letters + string.digits

    def word(size: int, of: str = letters) -> str:
        return "".join(chance.choices(of, k=size))

    def repeated(text: str) -> str:
        return (text * (_MIB // len(text) + 1))[:_MIB]

    noise = word(_MIB, string.printable[:95])
    tokens = [word(40) for _ in range(256)]
    yield "256 tokens; random characters", _values(tokens), noise
    yield (
        "256 tokens; lines",
        _values(tokens),
        "\n".join(noise[i : i + 80] for i in range(0, _MIB, 80)),
    )
    yield "256 tokens; the tokens", _values(tokens), repeated(" ".join(tokens))
    yield "256 of three letters; three-letter words", *_three(chance)
    runs = ["a" * size for size in range(4, 64)]
    yield "`a` 4 to 63 times; `a`", _values(runs), "a" * _MIB
    yield "the same; `a` 63 times and a dash", _values(runs), repeated("a" * 63 + "-")
    ends = ["a" * (62 - i % 60) + word(2) for i in range(256)]
    yield "`a` and two others, 256; `a`", _values(ends), "a" * _MIB
    yield (
        "`ab` 2 to 31 times; `ab`",
        _values(["ab" * size for size in range(2, 32)]),
        repeated("ab"),
    )
    yield (
        "`-=` 2 to 31 times; `-=`",
        _values(["-=" * size for size in range(2, 32)]),
        repeated("-="),
    )
    common = ["glpat-12" + word(32) for _ in range(256)]
    yield "256 with one beginning; the beginning", _values(common), repeated("glpat-12" + "x-" * 4)
    common = ["glpat-12ABcd34" + word(26) for _ in range(256)]
    yield "256 with a long one; the beginning", _values(common), repeated("glpat-12ABcd34xx ")
    stream = word(4096)
    shifted = [stream[at : at + 2048] for at in range(256)]
    yield "256 pieces of one; all of it", _values(shifted), repeated(stream)
    blocks = ["".join(stream[i : i + 12] + "%" for i in range(at, 3000, 12)) for at in range(256)]
    yield "pieces of 12; all of it", _values(blocks), repeated(stream)
    punctuation = [word(chance.randint(4, 63), string.punctuation) for _ in range(256)]
    yield "256 of punctuation; punctuation", _values(punctuation), word(_MIB, string.punctuation)
    yield "`=` 100,000 times and `!`; `=`", _values(["=" * 100_000 + "!"]), "=" * _MIB
    yield (
        "256 of any bytes; any bytes",
        [chance.randbytes(40) for _ in range(256)],
        chance.randbytes(_MIB).decode("latin-1"),
    )
    large = chance.randbytes(500 * 1024)
    yield "500 KiB; its base64", [large], repeated(base64.encodebytes(large).decode())
    most = [chance.randbytes(4 * 1024) for _ in range(256)]
    yield "256 of any bytes, 1 MiB in all; random characters", most, noise
    most = ["\n".join(word(8) for _ in range(455)).encode() for _ in range(256)]
    yield "256 of short lines, 1 MiB in all; random characters", most, noise
    for escape in (
        "%41",
        "\\u0041",
        "&#38;",
        "\x1b[1m",
        "\\\\",
        "%41b",
        "\\x41b",
        "&lt;b",
        "\n ",
        "' ",
    ):
        yield f"256 tokens; {escape!r}", _values(tokens), repeated(escape)
    unequal = "".join(f"\\u{chance.randrange(1 << 16):04x}" for _ in range(_MIB // 6))
    yield "256 tokens, one of them umlauts; `\\uXXXX`", _values([*tokens, "schlüssel"]), unequal
    kitchen = (
        "%4{}",
        "\\u004{}",
        "&#3{};",
        "\x1b[{}m",
        "\\\\x4{}",
        "'\\''",
        "\\n",
        " \n",
        "%c3%a4",
        "{}",
    )
    for gap in (2, 20, 60):
        pieces = [
            chance.choice(kitchen).format(chance.randrange(10)) + word(gap)
            for _ in range(_MIB // (gap + 5))
        ]
        yield (
            f"umlauts; all escapes, {gap} between",
            _values([*tokens, "schlüssel"]),
            "".join(pieces),
        )


def _three(chance: random.Random) -> tuple[list[bytes], str]:
    words = ["".join(chance.choices(string.ascii_lowercase, k=3)) for _ in range(256)]
    return _values(words), " ".join(chance.choices(words, k=_MIB // 4))


def _values(texts: list[str]) -> list[bytes]:
    return [text.encode() for text in texts]


def _measure(values: list[bytes], text: str) -> tuple[float, float, float, float]:
    """Return seconds of CPU a MiB, MiB over the text, MiB that are held for the secrets, and the seconds that
    another thread waited at most, while the secrets were made ready or the text was searched.
    """
    from function.redaction import Redactor  # noqa: PLC0415 - needs the path below

    lines = text.split("\n")
    ended = threading.Event()
    waits = [0.0]

    def wait() -> None:
        last = time.perf_counter()
        while not ended.is_set():
            time.sleep(0.001)
            now = time.perf_counter()
            waits.append(now - last)
            last = now

    # As the function does it (template/python3-http/index.py, handler.start).
    gc.freeze()
    gc.set_threshold(_OBJECTS_BEFORE_A_LOOK_FOR_GARBAGE)
    other = threading.Thread(target=wait)
    other.start()
    redactor = Redactor(values)
    started = time.process_time()
    stream = redactor.lines()
    shown = stream.feed(lines) + stream.finish()
    seconds = time.process_time() - started
    ended.set()
    other.join()
    size = sum(map(len, shown))
    del shown
    tracemalloc.start()
    redactor = Redactor(values)
    own, _peak = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    stream = redactor.lines()
    stream.feed(lines)
    stream.finish()
    _now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    memory = max(peak - own - size, 0)
    return seconds / (len(text.encode()) / _MIB), memory / _MIB, own / _MIB, max(waits)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "deployed"))
    for row in _rows():
        print(row, flush=True)
