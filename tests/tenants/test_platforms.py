from __future__ import annotations

import pytest

from function.tenants.platforms import normal_platform


@pytest.mark.parametrize(
    ("written", "one_name"),
    [
        ("linux/amd64", "linux/amd64"),
        ("Linux/AMD64", "linux/amd64"),
        ("linux/x86_64", "linux/amd64"),
        ("linux/amd64/v1", "linux/amd64"),
        ("linux/amd64/v3", "linux/amd64/v3"),
        ("linux/aarch64", "linux/arm64"),
        ("linux/arm64/v8", "linux/arm64"),
        ("linux/arm64/9", "linux/arm64/v9"),
        ("linux/arm", "linux/arm/v7"),
        ("linux/arm/6", "linux/arm/v6"),
        ("linux/armhf", "linux/arm/v7"),
        ("linux/armel", "linux/arm/v6"),
        ("linux/i386", "linux/386"),
        ("macos/arm64", "darwin/arm64"),
    ],
)
def test_names_of_one_platform_are_one(written: str, one_name: str) -> None:
    assert normal_platform(written) == one_name


@pytest.mark.parametrize("text", ["", "linux", "linux/", "linux/a/b/c", "linux/a b", "lin*x/amd64"])
def test_rejects_what_is_no_platform(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        normal_platform(text)
