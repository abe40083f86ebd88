"""The programs that are built, and that they are what the sources say."""

import re

from stack.install import programs
from stack.paths import Paths


def test_the_stamped_version_is_the_one_in_go_mod() -> None:
    go_mod = (Paths().repository / "scripts" / "tools" / "go.mod").read_text()

    pinned = re.search(r"github\.com/moby/buildkit (v\S+)", go_mod)

    assert pinned is not None
    assert pinned.group(1) == programs.BUILDKIT_VERSION


def test_another_version_is_kept_apart_under_its_name() -> None:
    ours, other = programs.find(Paths()), programs.find(Paths(), "v0.22.0")

    assert other.folder != ours.folder
    assert other.folder.name.startswith("v0.22.0-")
