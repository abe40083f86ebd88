from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from function.buildkit import ANONYMOUS, DaemonUnavailable, PushedImage, SolveSpec, session_services
from function.buildkit.solve.index import source_of
from function.pb import ops_pb2

if TYPE_CHECKING:
    from function.buildkit import Solve

    from ...fake_buildkitd import FakeBuildkitd

NAME = "registry.example.com/fn"
NAMES = (f"{NAME}:1", f"{NAME}:2")
ARM = PushedImage(name=NAME, digest="sha256:" + "a" * 64, platform="linux/arm/v6")
AMD = PushedImage(name=NAME, digest="sha256:" + "b" * 64, platform="linux/amd64")


def begin(daemon: FakeBuildkitd, *, patience: float = 20.0) -> Solve:
    spec = SolveSpec(ref="the index", names=NAMES, internal=True, joins=True)
    services = session_services({}, lambda _host: ANONYMOUS)
    return daemon.client(patience=patience).solve(spec, services, shared_key="key")


def lines(solve: Solve) -> list[str]:
    return [line for lines in solve for line in lines]


def test_images_become_an_index_under_all_names(daemon: FakeBuildkitd) -> None:
    with closing(begin(daemon)) as solve:
        solve.join([ARM, AMD])
        log = lines(solve)
        result = solve.result()

    assert result.platforms == ("linux/arm/v6", "linux/amd64")
    assert result.manifests == (ARM.digest, AMD.digest)
    assert any(f"pushing manifest for {NAMES[1]}@{result.digest}" in line for line in log)
    [returned] = daemon.bridge.returned
    assert [each.Ref for each in daemon.bridge.resolved] == [ARM.reference, AMD.reference]
    configs = {name: data for name, data in returned.result.metadata.items() if "config" in name}
    assert configs == {
        "containerimage.config/linux/arm/v6": f"config of {ARM.reference}".encode(),
        "containerimage.config/linux/amd64": f"config of {AMD.reference}".encode(),
    }
    assert json.loads(returned.result.metadata["refs.platforms"]) == {
        "Platforms": [
            {
                "ID": "linux/arm/v6",
                "Platform": {"os": "linux", "architecture": "arm", "variant": "v6"},
            },
            {"ID": "linux/amd64", "Platform": {"os": "linux", "architecture": "amd64"}},
        ]
    }


def test_it_waits_for_its_images_and_notices_that_its_daemon_is_gone(
    daemon: FakeBuildkitd,
) -> None:
    with closing(begin(daemon, patience=2.0)) as solve:
        assert next(iter(solve)) == []
        assert daemon.bridge.solved == []

        daemon.die()

        lines(solve)
        with pytest.raises(DaemonUnavailable):
            solve.result()


def test_it_ends_without_its_images_if_nobody_wants_it_any_more(daemon: FakeBuildkitd) -> None:
    solve = begin(daemon)
    next(iter(solve))

    solve.close()

    daemon.wait_until(lambda: "the index" in daemon.solver.abandoned)
    assert daemon.bridge.solved == []


def test_an_image_is_the_source_of_its_platform() -> None:
    definition = ops_pb2.Definition.FromString(source_of(ARM))

    source, result = map(ops_pb2.Op.FromString, definition.ops)
    assert source.source.identifier == f"docker-image://{ARM.reference}"
    platform = source.platform
    assert (platform.OS, platform.Architecture, platform.Variant) == ("linux", "arm", "v6")
    assert {result.inputs[0].digest} < set(definition.metadata)
    assert len(definition.metadata) == 2
