from __future__ import annotations

from function.buildkit.rpc.worker import Worker, worker_of
from function.pb import control_pb2 as pb

HOSTNAME = "org.mobyproject.buildkit.worker.hostname"


def test_the_first_worker_is_the_one_that_builds() -> None:
    response = pb.ListWorkersResponse()
    response.record.add(ID="one", Labels={HOSTNAME: "buildkitd-0", "other": "x"})
    response.record[0].platforms.add(OS="linux", Architecture="arm", Variant="v7")
    response.record[0].platforms.add(OS="linux", Architecture="amd64")
    response.record.add(ID="two")

    assert worker_of(response) == Worker(
        id="one", hostname="buildkitd-0", platforms=("linux/arm/v7", "linux/amd64")
    )


def test_a_daemon_without_a_worker_is_nobody() -> None:
    assert worker_of(pb.ListWorkersResponse()) == Worker()
