"""Contexts as signed tars."""

import hashlib
import hmac
import io
import json
import tarfile

from benchmark import requests
from benchmark.contexts import File
from hypothesis import given
from hypothesis import strategies as st

NAMES = st.text(alphabet="abcdefgh_.-", min_size=1, max_size=8).filter(
    lambda name: name.strip(".") != ""
)
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)
FILES = st.builds(
    File,
    path=PATHS,
    content=st.binary(max_size=1100),
    modified=st.integers(min_value=0, max_value=2**33 - 1),
    mode=st.sampled_from([0o644, 0o755]),
)
CONTEXTS = st.lists(FILES, min_size=1, max_size=6, unique_by=lambda file: file.path)


def made(*files: File, pushed: bool = True) -> requests.Request:
    return requests.request(files, image="registry/name:tag", pushed=pushed, secret=b"secret")


@given(CONTEXTS)
def test_the_tar_holds_every_file_as_it_is(files: list[File]) -> None:
    with tarfile.open(fileobj=io.BytesIO(made(*files).body)) as archive:
        for file in files:
            # By name, since a path may be a file's and the beginning of another's.
            members = [each for each in archive if each.name == f"context/{file.path}"]
            member = next(each for each in members if each.isreg())
            content = archive.extractfile(member)
            assert content is not None
            assert content.read() == file.content
            assert (member.mtime, member.mode) == (file.modified, file.mode)


@given(CONTEXTS)
def test_folders_come_before_what_stands_in_them(files: list[File]) -> None:
    folders = requests.folders(tuple(files))
    for file in files:
        parent = file.path.rpartition("/")[0]
        assert not parent or parent in folders
    for folder in folders:
        parent = folder.rpartition("/")[0]
        assert not parent or folders.index(parent) < folders.index(folder)


def test_the_configuration_is_the_last_member() -> None:
    request = made(File(path="Dockerfile", content=b"FROM scratch\n", modified=1), pushed=False)
    with tarfile.open(fileobj=io.BytesIO(request.body)) as archive:
        last = archive.getmembers()[-1]
        document = archive.extractfile(last)
        assert document is not None
        assert last.name == "com.openfaas.docker.config"
        assert json.load(document) == {"image": "registry/name:tag", "skipPush": True}


def test_the_signature_covers_the_whole_body() -> None:
    request = made(File(path="Dockerfile", content=b"FROM scratch\n", modified=1))
    expected = hmac.new(b"secret", request.body, hashlib.sha256).hexdigest()
    assert request.signature == f"sha256={expected}"
