"""The mirror that base images are made from."""

from pathlib import Path

import pytest
from stack.errors import StackError
from stack.install import debian


def sources(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return folder


@pytest.mark.parametrize(
    "files",
    [
        pytest.param(
            {"sources.list.d/debian.sources": "Types: deb\nURIs: http://near.example/debian\n"},
            id="deb822",
        ),
        pytest.param(
            {"sources.list": "# deb http://old.example/debian x\ndeb http://near.example/debian x"},
            id="one line, after a comment",
        ),
        pytest.param(
            {"sources.list": "deb [signed-by=/a.gpg arch=amd64] http://near.example/debian x main"},
            id="one line with options",
        ),
        pytest.param(
            {
                "sources.list.d/a.sources": "URIs: http://near.example/debian-security\n",
                "sources.list.d/b.list": "deb https://vendor.example/apt stable main",
                "sources.list.d/c.list": "deb http://near.example/debian x main",
            },
            id="among security updates and vendors",
        ),
    ],
)
def test_takes_the_mirror_from_the_machines_own_sources(
    tmp_path: Path, files: dict[str, str]
) -> None:
    assert debian.mirror(sources(tmp_path, files)) == "http://near.example/debian"


def test_says_what_to_add_when_no_source_is_a_debian_archive(tmp_path: Path) -> None:
    files = {"sources.list.d/vendor.list": "deb https://vendor.example/apt stable main"}

    with pytest.raises(StackError, match=r"add one to /etc/apt/sources\.list\.d"):
        debian.mirror(sources(tmp_path, files))
