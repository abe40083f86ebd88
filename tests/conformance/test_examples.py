"""The published examples (openfaas/function-builder-examples), as programs of ours that behave so."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from . import programs
from .conftest import HERE
from .rows import conforms
from .table import Case, Row

if TYPE_CHECKING:
    from .conftest import Send
    from .table import Trial

AXIOS = programs.node_package_version("axios")

FAILED = "Building image {image} failed"

PYTHON = Row(
    client="Python, requests",
    call="requests.post(url, data=tar)",
    success="Success building image {image}",
    failed_build=f"{FAILED}\nfailed\n",
    wrong_key=f"{FAILED}\nfailed\n",
    wrong_password=f"{FAILED}\nfailed\n",
)
NODE = Row(
    client=f"Node, axios {AXIOS}",
    call="axios({ data: tar })",
    success="Success building image {image}",
    failed_build=f"{FAILED}: failed",
    wrong_key=f"{FAILED}: failed",
    wrong_password=f"{FAILED}: failed",
)
# Guzzle throws before the example's own words for a failure.
PHP = Row(
    client="PHP, Guzzle",
    call="$client->post($url, ['body' => $tar])",
    success="Success building image {image}",
    failed_build="resulted in a `422",
    wrong_key="resulted in a `401",
    wrong_password="resulted in a `422",
)
PHP_ANSWERS = replace(
    PHP,
    call="the same with 'http_errors' => false",
    failed_build=f"{FAILED}\nfailed\n",
    wrong_key="failed\nfailed\n",
    wrong_password=f"{FAILED}\nfailed\n",
)
GO = Row(
    client=f"Go, go-sdk {programs.go_sdk_version()}",
    call="CreateBuildContext, MakeTar, Build",
    success="Image: {image} built.",
    failed_build="builder responded with status code 422",
    wrong_key="builder responded with status code 401",
    wrong_password="builder responded with status code 422",
)


@conforms(PYTHON)
def test_python(trial: Trial, send: Send) -> None:
    errand = send(trial)
    printed = errand.run(sys.executable, HERE / "python" / "build.py", errand.image)
    errand.assert_shows(printed)


@conforms(NODE)
def test_node(trial: Trial, send: Send, node: programs.Node) -> None:
    errand = send(trial)
    printed = errand.run(node.node, node.folder / "build.js", errand.image)
    errand.assert_shows(printed)


@conforms(PHP, PHP_ANSWERS)
def test_php(trial: Trial, send: Send) -> None:
    errand = send(trial)
    answers = ["--answers"] if trial.row is PHP_ANSWERS else []
    printed = errand.run("php", HERE / "php" / "build.php", errand.image, *answers)
    errand.assert_shows(printed)


@conforms(GO)
def test_go(trial: Trial, send: Send, go: programs.Go) -> None:
    errand = send(trial)
    printed = errand.run(go.example, errand.image)
    errand.assert_shows(printed)
    assert printed.exit_code == (0 if trial.case is Case.SUCCESS else 1)
