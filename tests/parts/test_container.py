"""The bundle that runc is given of an image."""

import io
import tarfile
from pathlib import Path

import pytest
from stack.images import oci

from . import container

PASSWD = "root:x:0:0:root:/root:/bin/bash\napp:x:999:998::/home/app:/bin/sh\n"


@pytest.mark.parametrize(
    ("user", "ids"),
    [("", (0, 0)), ("app", (999, 998)), ("1000", (1000, 0)), ("1000:50", (1000, 50))],
)
def test_finds_the_ids_of_an_images_user(user: str, ids: tuple[int, int]) -> None:
    assert container.user_ids(user, PASSWD) == ids


def test_a_user_that_the_image_lacks_is_an_error() -> None:
    with pytest.raises(LookupError):
        container.user_ids("nobody", PASSWD)


def test_the_container_starts_as_the_image_says_with_our_environment_on_top() -> None:
    process = oci.Process(
        entrypoint=("fwatchdog",),
        cmd=("x",),
        env={"port": "8080", "mode": "http"},
        working_dir="/a",
    )

    told = container.specification(process, {"port": "9"}, (999, 998))["process"]

    assert isinstance(told, dict)
    assert told["args"] == ["fwatchdog", "x"]
    assert set(told["env"]) == {"port=9", "mode=http"}
    assert (told["cwd"], told["user"]) == ("/a", {"uid": 999, "gid": 998})


def test_secrets_and_a_root_that_is_not_to_be_written_to_are_mounted_read_only() -> None:
    told = container.specification(
        oci.Process(), {}, (999, 998), secrets=Path("/mine"), read_only=True
    )

    assert told["root"] == {"path": "rootfs", "readonly": True}
    mounts = told["mounts"]
    assert isinstance(mounts, list)
    (secrets,) = (each for each in mounts if each["destination"] == "/var/openfaas/secrets")
    assert secrets["source"] == "/mine"
    assert "ro" in secrets["options"]


def test_whiteouts_remove_what_is_below_the_layer() -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name in ("etc/kept", "etc/.wh.gone", ".wh.top", "var/cache/.wh..wh..opq"):
            tar.addfile(tarfile.TarInfo(name))
    buffer.seek(0)

    with tarfile.open(fileobj=buffer) as tar:
        assert container.removed_by(tar) == ["etc/gone", "top", "var/cache"]
