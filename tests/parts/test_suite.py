"""`./scripts/test --buildkit`, as far as it needs no daemon."""

from pathlib import Path

import pytest
from stack.errors import StackError
from stack.paths import Paths

from . import suite


@pytest.mark.parametrize("version", ["0.30.0", "v0.30", "latest", "v0.30.0; true", "../v0.30.0"])
def test_what_is_no_version_is_refused_before_anything_is_made(
    tmp_path: Path, version: str
) -> None:
    with pytest.raises(StackError, match=r"write it as v0\.30\.0"):
        suite.run_against(Paths(state=tmp_path / "state", runtime=tmp_path / "run"), version, [])
    assert not list(tmp_path.iterdir())
