from __future__ import annotations

import pytest

from function.builds.daemon_versions import remarks


@pytest.mark.parametrize(
    "version", ["v0.22.0", "v0.32.2", "v0.34.9", "0.30.1", "", "unknown", "v0.0.0+unknown"]
)
def test_a_version_that_was_tried_or_is_not_known_needs_no_remark(version: str) -> None:
    assert remarks(version) == ()


@pytest.mark.parametrize("version", ["v0.21.1", "v0.9.0", "v0.12.5"])
def test_an_older_version_is_told_what_it_loses(version: str) -> None:
    [remark] = remarks(version)

    assert version in remark
    assert "older than v0.22" in remark


@pytest.mark.parametrize("version", ["v0.35.0", "v1.0.0", "v2.1.0-rc1"])
def test_a_newer_version_is_told_that_nobody_tried_it(version: str) -> None:
    [remark] = remarks(version)

    assert version in remark
    assert "newest" in remark
