"""The commands of OpenFaaS' documentation, run by a shell: GNU tar, openssl and curl."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from .rows import conforms
from .table import Case, Row

if TYPE_CHECKING:
    from .conftest import Send
    from .table import Trial

NDJSON = "application/x-ndjson"

# From the documentation of the Function Builder API, but for where the secret and the builder are.
DOCUMENTED = """
cd build

tar cvf req.tar  --exclude=req.tar  .

PAYLOAD=$(cat ../payload.txt)

HMAC=$(cat req.tar | openssl dgst -sha256 -hmac $PAYLOAD | sed -e 's/^.* //')

curl -H "X-Build-Signature: sha256=$HMAC" -s $BUILDER_URL/build -X POST --data-binary @req.tar
"""

SIGN = """
tar c{z} -C build . > req.tar
HMAC=$(openssl dgst -sha256 -hmac "$(cat payload.txt)" req.tar | sed -e 's/^.* //')
"""
CURL = 'curl -v -sS -H "X-Build-Signature: sha256=$HMAC" "$BUILDER_URL/build" '

DOCUMENTED_COMMANDS = Row(
    client="curl",
    call="-X POST --data-binary @req.tar, as documented",
    success='"imageName": "{image}"',
    failed_build='"reason": "build_failed"',
    wrong_key='"reason": "bad_signature"',
    wrong_password='"reason": "build_failed"',
)


def by(call: str) -> Row:
    return replace(DOCUMENTED_COMMANDS, call=call, failed_build="", wrong_password="")


STREAM = replace(DOCUMENTED_COMMANDS, call=f"-N -H 'Accept: {NDJSON}' --data-binary @req.tar")
COMPRESSED = by("--data-binary @req.tar, of tar cz")


@conforms(DOCUMENTED_COMMANDS)
def test_the_documented_commands(trial: Trial, send: Send) -> None:
    errand = send(trial)
    printed = errand.shell(DOCUMENTED)
    assert printed.exit_code == 0
    errand.assert_shows(printed)
    document = json.loads(printed.out.splitlines()[-1])
    assert document["status"] == ("success" if trial.case is Case.SUCCESS else "failed")
    if trial.case is not Case.WRONG_KEY:
        assert document["logs"]


@conforms(
    by("-H 'Content-Type: application/octet-stream' -T req.tar -X POST"),
    by("-H 'Transfer-Encoding: chunked' --data-binary @req.tar"),
    by("-T - -X POST < req.tar"),
    by("-H 'Expect: 100-continue' --data-binary @req.tar"),
    by("--http1.0 --data-binary @req.tar"),
)
def test_every_way_of_curl_to_send_a_body(trial: Trial, send: Send) -> None:
    errand = send(trial)
    printed = errand.shell(SIGN.format(z="") + CURL + trial.row.call)
    assert printed.exit_code == 0
    errand.assert_shows(printed)
    if "chunked" in trial.row.call or "-T -" in trial.row.call:
        assert "> Transfer-Encoding: chunked" in printed.err
    if "100-continue" in trial.row.call:
        assert "< HTTP/1.1 100 Continue" in printed.err


@conforms(COMPRESSED)
def test_a_compressed_archive(trial: Trial, send: Send) -> None:
    errand = send(trial)
    printed = errand.shell(SIGN.format(z="z") + CURL + "--data-binary @req.tar")
    assert printed.exit_code == 0
    errand.assert_shows(printed)


@conforms(STREAM)
def test_a_stream(trial: Trial, send: Send) -> None:
    errand = send(trial)
    printed = errand.shell(SIGN.format(z="") + CURL + trial.row.call)
    assert printed.exit_code == 0
    errand.assert_shows(printed)
    *progress, final = map(json.loads, printed.out.splitlines())
    assert {line["status"] for line in progress} <= {"in_progress"}
    assert final["status"] == ("success" if trial.case is Case.SUCCESS else "failed")
