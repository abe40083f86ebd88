"""Reads a build as server-sent events and prints each as it comes, as a line of JSON.

Follows the HTML Living Standard, "Interpreting an event stream", but for the retry field.
"""

from __future__ import annotations

import hmac
import http.client
import io
import json
import os
import sys
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SECONDS = 60


def main(image: str) -> None:
    body = archive(image)
    key = Path("payload.txt").read_bytes().strip()
    headers = {
        "Accept": "text/event-stream",
        "X-Build-Signature": "sha256=" + hmac.new(key, body, "sha256").hexdigest(),
    }
    url = urlsplit(os.environ["BUILDER_URL"] + "/build")
    connection = http.client.HTTPConnection(url.netloc, timeout=SECONDS)
    connection.request("POST", url.path, body, headers)
    with connection.getresponse() as response:
        if response.headers.get_content_type() != "text/event-stream":
            sys.exit(f"{response.status}, {response.headers['Content-Type']}: {response.read()!r}")
        for event in events(response):
            print(json.dumps(event), flush=True)  # noqa: T201 - it is a program


def archive(image: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        config = json.dumps({"image": image}).encode()
        member = tarfile.TarInfo("com.openfaas.docker.config")
        member.size = len(config)
        tar.addfile(member, io.BytesIO(config))
        tar.add("build/context", arcname="context")
    return buffer.getvalue()


def events(lines: Iterable[bytes]) -> Iterator[dict[str, str]]:
    """Yield the fields of each event, and each comment. An event that no blank line ends is not one."""
    fields: dict[str, str] = {}
    for raw in lines:
        line = raw.decode().rstrip("\r\n")
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            if fields:
                yield fields
            fields = {}
        elif not name:
            yield {"comment": value}
        elif name == "data" and "data" in fields:
            fields["data"] += "\n" + value
        else:
            fields[name] = value


main(sys.argv[1])
