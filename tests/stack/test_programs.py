"""What is built, and that it is what the sources say."""

import re

from stack.install import programs
from stack.paths import Paths


def test_the_stamped_version_is_the_one_in_go_mod() -> None:
    go_mod = (Paths().repository / "scripts" / "tools" / "go.mod").read_text()

    pinned = re.search(r"github\.com/moby/buildkit (v\S+)", go_mod)

    assert pinned is not None
    assert pinned.group(1) == programs.BUILDKIT_VERSION
