"""Fills a daemon's history, by the function's own client: `python fill_history.py ADDRESS RECORDS`.

Each record is as long as that of a build with some arguments and labels, 3 KB. Run by the function's Python.
"""

import secrets
import sys
from concurrent.futures import ThreadPoolExecutor

from function.buildkit import Client
from function.history.annotations import build_attrs
from function.pb import control_pb2 as pb

_THREADS = 8
_SECONDS = 60.0
# Beside what the builder says of a build itself; a build's arguments, say.
_LENGTH = 2_200


def main(address: str, records: int) -> None:
    client = Client(address, patience=_SECONDS)

    def build(number: int) -> None:
        image = f"registry.test/benchmark/fn-{number}"
        said = {"image": f"{image}:1", "name": image, "key": "payload-secret"}
        attrs = {**build_attrs(said), "build-arg:FILL": "x" * _LENGTH}
        # Of an empty graph: it ends at once, and has a record like any other.
        request = pb.SolveRequest(Ref=secrets.token_hex(16), Definition=b"", FrontendAttrs=attrs)
        with client.asking() as control:
            control.solve(request, timeout=_SECONDS)

    with ThreadPoolExecutor(_THREADS) as threads:
        for _ in threads.map(build, range(records)):
            pass


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
