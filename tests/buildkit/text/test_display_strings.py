from __future__ import annotations

import re
from pathlib import Path

import pytest

from function.buildkit.text.display_strings import (
    JOB_EXISTS,
    LOAD_METADATA,
    NO_SUCH_JOB,
    NO_SUCH_RECORD,
    STEP,
    DisplayString,
    all_of_them,
)

PACKAGE = Path(__file__).resolve().parents[3] / "builder-fn"

strings = pytest.mark.parametrize("name", all_of_them())


@strings
def test_each_names_the_line_that_prints_it(name: str) -> None:
    assert re.search(r"\w+/\w+\.go:\d+", all_of_them()[name].printed_by)


@strings
def test_each_is_gone_by_where_it_says(name: str) -> None:
    modules = re.search(r"\(([\w/, ]+)\)$", all_of_them()[name].decides)
    assert modules
    for module in modules[1].split(", "):
        folder = PACKAGE if module.startswith("history/") else PACKAGE / "buildkit"
        assert re.search(rf"\b{name}\b", (folder / f"{module}.py").read_text("utf-8")), module


@pytest.mark.parametrize(
    ("string", "text", "is_about"),
    [
        (JOB_EXISTS, "job ID claim-1 exists", True),
        (JOB_EXISTS, "job ID claim-10 exists", False),
        (JOB_EXISTS, "x: job ID claim-1 exists", False),
        (NO_SUCH_JOB, "no such job claim-1", True),
        (NO_SUCH_JOB, "forwarding Inputs: no such job claim-1", True),
        (NO_SUCH_JOB, "no such job xclaim-1", False),
        (NO_SUCH_JOB, "", False),
        (NO_SUCH_RECORD, "failed to retrieve ref claim-1: file does not exist", True),
        (NO_SUCH_RECORD, "failed to retrieve ref claim-10: file does not exist", False),
        (NO_SUCH_RECORD, "failed to retrieve ref claim-1: input/output error", False),
    ],
)
def test_a_refusal_names_its_build(string: DisplayString, text: str, *, is_about: bool) -> None:
    assert string.is_about("claim-1", text) is is_about


@pytest.mark.parametrize(
    ("name", "platform", "stage", "base"),
    [
        ("[2/3] RUN a", None, None, None),
        ("[build  2/12] RUN a", None, "build", None),
        ("[linux/amd64 1/1] COPY . /", "linux/amd64", None, None),
        ("[linux/arm/v7 build 1/3] FROM x", "linux/arm/v7", "build", "FROM "),
        ("[linux/amd64->arm64 build 2/3] RUN a", "linux/amd64", "build", None),
    ],
)
def test_a_steps_name_has_its_platform_and_stage(
    name: str, platform: str | None, stage: str | None, base: str | None
) -> None:
    found = STEP.match(name)

    assert found
    assert (found["platform"], found["stage"], found["base"]) == (platform, stage, base)


@pytest.mark.parametrize("inside", ["internal", "linux/amd64 internal"])
def test_metadata_is_loaded_for_one_platform_or_several(inside: str) -> None:
    assert LOAD_METADATA.match(f"[{inside}] load metadata for docker.io/library/debian:1")
