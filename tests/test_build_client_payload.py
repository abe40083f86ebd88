"""What scripts/build.py sends: the shrink-wrapped context, the deterministic tar, the signature."""

from __future__ import annotations

import gzip
import hashlib
import hmac
import io
import json
import os
import shutil
import socket
import tarfile
from pathlib import Path, PurePosixPath

import pytest
from build_client.context import archive as payload
from build_client.context import faas_cli
from build_client.context import overlay as context
from build_client.errors import UsageError
from build_client.protocol import signature

CONFIG = payload.build_config({"image": "r/a:1"})


@pytest.fixture
def template(tmp_path: Path) -> Path:
    folder = tmp_path / "template" / "python3-http"
    write(folder / "Dockerfile", "FROM scratch\n")
    write(folder / "template.yml", "language: python3-http\nfprocess: python index.py\n")
    write(folder / "index.py", "serve()\n")
    write(folder / "function" / "handler.py", "the sample\n")
    write(folder / "function" / "tox.ini", "[tox]\n")
    return folder


@pytest.fixture
def handler(tmp_path: Path) -> Path:
    folder = tmp_path / "hello"
    write(folder / "handler.py", "mine\n")
    write(folder / "requirements.txt", "flask\n")
    return folder


def write(path: Path, text: str, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


def tarred(source: context.Context) -> bytes:
    return bytes(payload.tar(source, CONFIG))


def members(body: bytes) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(body)) as archive:
        return {member.name: member for member in archive}


def test_lays_the_handler_over_the_templates_function_folder(template: Path, handler: Path) -> None:
    source = context.overlay(template, handler)

    assert sorted(source.sources) == [
        "Dockerfile",
        "function",
        "function/handler.py",
        "function/requirements.txt",
        "function/tox.ini",
        "index.py",
        "template.yml",
    ]
    assert source.text_of("function/handler.py") == "mine\n"


def test_follows_the_templates_own_handler_folder(template: Path, handler: Path) -> None:
    write(template / "template.yml", 'language: go\nhandler_folder: "src/fn" # deep\n')

    source = context.overlay(template, handler)

    assert source.text_of("src/fn/handler.py") == "mine\n"
    assert source.sources["src"].is_dir()
    assert source.text_of("function/handler.py") == "the sample\n"


@pytest.mark.parametrize(
    ("line", "folder"),
    [
        pytest.param("handler_folder: src", "src", id="bare"),
        pytest.param("handler_folder: 'src'", "src", id="single quotes"),
        pytest.param('handler_folder: "src"  # why', "src", id="double quotes and a comment"),
        pytest.param("handler_folder: src # why", "src", id="bare and a comment"),
        pytest.param("handler_folder:", "function", id="empty"),
        pytest.param("# handler_folder: src", "function", id="commented out"),
        pytest.param("  handler_folder: src", "function", id="a key of something else"),
    ],
)
def test_reads_the_handler_folder_as_yaml_would(template: Path, line: str, folder: str) -> None:
    write(template / "template.yml", f"language: x\n{line}\nfprocess: y\n")

    assert context.handler_folder(template) == PurePosixPath(folder)


@pytest.mark.parametrize("folder", ["../out", "/etc"])
def test_rejects_a_handler_folder_outside_the_context(template: Path, folder: str) -> None:
    write(template / "template.yml", f"handler_folder: {folder}\n")

    with pytest.raises(UsageError, match="leaves the context"):
        context.handler_folder(template)


def test_leaves_out_the_handlers_top_level_build_and_template(
    template: Path, handler: Path
) -> None:
    write(handler / "build" / "old.txt", "")
    write(handler / "template" / "old.txt", "")
    write(handler / "src" / "build" / "kept.txt", "")

    source = context.overlay(template, handler)

    names = [path for path in source.sources if path.startswith("function/")]
    assert "function/src/build/kept.txt" in names
    assert not [path for path in names if path.endswith("old.txt")]
    assert source.notices == (
        f"{handler}/build is left out, as faas-cli does.",
        f"{handler}/template is left out, as faas-cli does.",
    )


def test_takes_the_handler_itself_as_context_for_the_language_dockerfile(handler: Path) -> None:
    assert context.find_template("dockerfile", None) is None
    assert sorted(context.overlay(None, handler).sources) == ["handler.py", "requirements.txt"]


def test_sends_what_a_symlink_points_to(template: Path, handler: Path, tmp_path: Path) -> None:
    write(tmp_path / "shared" / "lib.py", "shared\n")
    (handler / "lib").symlink_to(tmp_path / "shared")
    (handler / "one.py").symlink_to("handler.py")

    body = members(tarred(context.overlay(template, handler)))

    assert body["context/function/lib/lib.py"].isreg()
    assert body["context/function/one.py"].isreg()


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        pytest.param(lambda at: at.symlink_to("nowhere"), "link to nothing", id="dangling link"),
        pytest.param(lambda at: at.symlink_to("."), "link back to a folder", id="loop"),
        pytest.param(os.mkfifo, "neither a file nor a folder", id="fifo"),
        pytest.param(
            lambda at: Path(os.fsdecode(os.fsencode(at) + b"\xff")).touch(),
            "is not UTF-8",
            id="name that is no text",
        ),
    ],
)
def test_names_what_cannot_be_sent(handler: Path, make: object, complaint: str) -> None:
    assert callable(make)
    make(handler / "odd")

    with pytest.raises(UsageError, match=complaint):
        context.overlay(None, handler)


def test_refuses_to_lay_a_file_over_a_folder(template: Path, handler: Path) -> None:
    write(template / "function" / "data" / "a", "")
    write(handler / "data", "")

    with pytest.raises(UsageError, match="one is a folder, the other a file"):
        context.overlay(template, handler)


def test_names_a_missing_template_and_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="faas-cli template store pull go"):
        context.find_template("go", tmp_path / "none")


def test_equal_trees_give_equal_bytes_whatever_their_times_and_umask(
    template: Path, handler: Path, tmp_path: Path
) -> None:
    twin = tmp_path / "twin"
    for name in ("requirements.txt", "handler.py"):  # made in another order
        write(twin / name, (handler / name).read_text(), mode=0o600)
        os.utime(twin / name, (1, 1))
    twin.chmod(0o700)

    assert tarred(context.overlay(template, handler)) == tarred(context.overlay(template, twin))


def test_keeps_executable_bits_and_no_other_permissions(template: Path, handler: Path) -> None:
    write(handler / "run.sh", "#!/bin/sh\n", mode=0o4770)
    write(handler / "secret", "", mode=0o600)

    body = members(tarred(context.overlay(template, handler)))

    assert body["context/function/run.sh"].mode == 0o755
    assert body["context/function/secret"].mode == 0o644
    assert body["context/function"].mode == 0o755
    assert {(member.uid, member.gid, member.uname) for member in body.values()} == {(0, 0, "")}


def test_puts_the_config_first_and_every_folder_before_what_it_holds(
    template: Path, handler: Path
) -> None:
    write(handler / "a" / "x", "")
    write(handler / "a-b", "")
    (handler / "empty").mkdir()

    names = list(members(tarred(context.overlay(template, handler))))

    assert names[:2] == ["com.openfaas.docker.config", "context"]
    assert all(
        names.index(str(parent)) < at
        for at, name in enumerate(names)
        for parent in list(PurePosixPath(name).parents)[:-1]
    )
    assert "context/function/empty" in names


def test_carries_long_and_foreign_names(template: Path, handler: Path) -> None:
    name = "é" * 80 + "/" + "x" * 120
    write(handler / name, "here\n")

    assert f"context/function/{name}" in members(tarred(context.overlay(template, handler)))


def test_says_in_the_config_only_what_was_asked_for() -> None:
    nothing = {"buildArgs": {}, "platforms": [], "target": "", "skipPush": False}

    assert json.loads(payload.build_config({"image": "r/a:1", **nothing})) == {"image": "r/a:1"}


def test_puts_sealed_secrets_last_for_the_owner_alone(template: Path, handler: Path) -> None:
    body = payload.tar(context.overlay(template, handler), CONFIG, b"sealed")

    *_, last = members(body).values()
    assert (last.name, last.mode, last.size) == ("com.openfaas.secrets", 0o600, len(b"sealed"))


def test_compresses_to_the_same_bytes_each_time(template: Path, handler: Path) -> None:
    body = payload.tar(context.overlay(template, handler), CONFIG)

    assert payload.compress(body) == payload.compress(body)
    assert gzip.decompress(payload.compress(body)) == body


def test_signs_the_exact_bytes_with_the_secret_trimmed() -> None:
    expected = hmac.new(b"key", b"body", hashlib.sha256).hexdigest()

    assert signature.sign(b"body", b" key\n") == f"sha256={expected}"


def test_a_socket_in_the_handler_is_named(handler: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        here = Path.cwd()
        os.chdir(handler)  # a socket's path holds 107 bytes at most
        try:
            listener.bind("s")
        finally:
            os.chdir(here)
        with pytest.raises(UsageError, match="neither a file nor a folder"):
            context.overlay(None, handler)


@pytest.mark.skipif(shutil.which("faas-cli") is None, reason="faas-cli is not on PATH")
def test_faas_cli_shrink_wraps_to_the_same_bytes(template: Path, handler: Path) -> None:
    write(handler / "build" / "old.txt", "")
    write(handler / "run.sh", "#!/bin/sh\n", mode=0o755)
    (handler / "link.py").symlink_to("handler.py")
    (handler / "empty").mkdir()

    with faas_cli.shrinkwrapped(
        "faas-cli", template=template, language="python3-http", handler=handler, image="r/a:1"
    ) as theirs:
        assert tarred(theirs) == tarred(context.overlay(template, handler))
