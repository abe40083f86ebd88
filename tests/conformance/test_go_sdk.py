"""OpenFaaS' own Go client, package builder: its four calls."""

from __future__ import annotations

import json
from dataclasses import replace
from secrets import token_hex
from typing import TYPE_CHECKING

from . import programs
from .errand import BUILDS, needs_secret
from .rows import conforms
from .table import Case, Row

if TYPE_CHECKING:
    from .conftest import Send
    from .table import Trial

CLIENT = f"go-sdk {programs.go_sdk_version()}"

SECRET = f"a token for go-sdk {token_hex(8)}"

# A call without a stream throws away every body but that of 200 and 202.
BUILD = Row(
    client=CLIENT,
    call="Build",
    success="{image}",
    failed_build="builder responded with status code 422",
    wrong_key="builder responded with status code 401",
    wrong_password="builder responded with status code 422",
)
# The base URL keeps its query when the SDK joins a path to it.
BUILD_FAILED_200 = replace(
    BUILD,
    call="Build ?failed=200",
    failed_build="exit 3 failed (Dockerfile:2)",
    wrong_password="was given no credentials, or not the right ones",
)
STREAM = replace(
    BUILD_FAILED_200, call="BuildWithStream", wrong_key="X-Build-Signature does not match the body"
)


@conforms(
    BUILD,
    BUILD_FAILED_200,
    STREAM,
    replace(BUILD, call="BuildWithSecrets"),
    replace(BUILD_FAILED_200, call="BuildWithSecrets ?failed=200"),
    replace(STREAM, call="BuildWithSecretsStream"),
)
def test_go_sdk(trial: Trial, send: Send, go: programs.Go) -> None:
    call, _, query = trial.row.call.partition(" ")
    takes_secrets = "Secrets" in call
    errand = send(trial, builds=needs_secret(SECRET) if takes_secrets else BUILDS)
    printed = errand.run(
        go.calls,
        *("-url", errand.url + query),
        *("-call", call),
        *("-image", errand.image),
        *("-context", "build/context"),
        *("-payload-secret", errand.payload_secret),
        *(("-secret", f"token={SECRET}") if takes_secrets else ()),
    )
    errand.assert_shows(printed)
    returned = json.loads(printed.out)
    if trial.case is Case.SUCCESS:
        assert (returned["status"], returned["image"]) == ("success", errand.image)
        assert returned["error"] == returned["reason"] == ""
    elif returned["results"]:
        assert (returned["status"], returned["error"]) == ("failed", "")
        assert trial.shows in returned["reason"]
    if returned["results"] and trial.case is not Case.WRONG_KEY:
        assert any("[internal] load build definition" in line for line in returned["log"])
    assert SECRET not in printed.text
