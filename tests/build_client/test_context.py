"""The folders that scripts/build.py reads: what of them travels, what does not, and what it says of it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from pathlib import Path, PurePosixPath

import pytest
from build_client.context import Context, dockerfile, find_template, overlay
from build_client.context.overlay import handler_folder
from build_client.errors import UsageError


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


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    folder = tmp_path / "plain"
    write(folder / "Dockerfile", "FROM scratch\nCOPY . /\n")
    write(folder / "kept", "")
    return folder


def write(path: Path, text: str, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


def bind_socket(at: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        here = Path.cwd()
        os.chdir(at.parent)  # a socket's path holds 107 bytes at most
        try:
            listener.bind(at.name)
        finally:
            os.chdir(here)


def link_to_nothing(at: Path) -> None:
    at.symlink_to("nowhere")


def link_to_itself(at: Path) -> None:
    at.symlink_to(at.name)


def link_to_the_folder_above(at: Path) -> None:
    at.symlink_to(".")


def device(at: Path) -> None:
    os.mknod(at, 0o600 | 0o020000, os.makedev(1, 3))


def names(context: Context) -> list[str]:
    return sorted(context.sources)


def test_lays_the_handler_over_the_templates_function_folder(template: Path, handler: Path) -> None:
    context = overlay(template, handler)

    assert names(context) == [
        "Dockerfile",
        "function",
        "function/handler.py",
        "function/requirements.txt",
        "function/tox.ini",
        "index.py",
        "template.yml",
    ]
    assert context.text_of("function/handler.py") == "mine\n"


def test_follows_the_templates_own_handler_folder(template: Path, handler: Path) -> None:
    write(template / "template.yml", 'language: go\nhandler_folder: "src/fn" # deep\n')

    context = overlay(template, handler)

    assert context.text_of("src/fn/handler.py") == "mine\n"
    assert context.sources["src"].is_dir()
    assert context.text_of("function/handler.py") == "the sample\n"


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

    assert handler_folder(template) == PurePosixPath(folder)


@pytest.mark.parametrize("folder", ["../out", "/etc"])
def test_rejects_a_handler_folder_outside_the_context(template: Path, folder: str) -> None:
    write(template / "template.yml", f"handler_folder: {folder}\n")

    with pytest.raises(UsageError, match="leaves the context"):
        handler_folder(template)


def test_leaves_out_the_handlers_top_level_build_and_template(
    template: Path, handler: Path
) -> None:
    write(handler / "build" / "old.txt", "")
    write(handler / "template" / "old.txt", "")
    write(handler / "src" / "build" / "kept.txt", "")

    context = overlay(template, handler)

    assert "function/src/build/kept.txt" in context.sources
    assert not [path for path in context.sources if path.endswith("old.txt")]
    assert context.notices == (
        f"{handler}/build is left out, as faas-cli does.",
        f"{handler}/template is left out, as faas-cli does.",
    )


def test_a_plain_context_is_whole(plain: Path) -> None:
    write(plain / "build" / "run.sh", "")
    write(plain / "template" / "a", "")

    context = overlay(find_template("dockerfile", None), plain)

    assert names(context) == [
        "Dockerfile",
        "build",
        "build/run.sh",
        "kept",
        "template",
        "template/a",
    ]
    assert context.notices == ()


class TestLinks:
    def test_in_a_handler_stand_for_what_they_lead_to(self, template: Path, handler: Path) -> None:
        (handler / "one.py").symlink_to("handler.py")

        context = overlay(template, handler)

        assert not context.is_link(context.sources["function/one.py"])
        assert context.notices == ()

    @pytest.mark.parametrize("what", ["folder", "file"])
    def test_that_lead_out_of_a_handler_are_mentioned(
        self, template: Path, handler: Path, tmp_path: Path, what: str
    ) -> None:
        write(tmp_path / "shared" / "lib.py", "shared\n")
        (tmp_path / "shared" / "again").symlink_to("lib.py")
        target = tmp_path / "shared" / ("lib.py" if what == "file" else "")
        (handler / "lib").symlink_to(target)

        context = overlay(template, handler)

        assert context.notices == (
            f"{handler}/lib is a link to {target}, outside of {handler}: what it leads to is sent.",
        )
        assert f"function/lib{'/lib.py' if what == 'folder' else ''}" in context.sources

    def test_of_a_plain_context_are_links(self, plain: Path) -> None:
        (plain / "inside").symlink_to("kept")
        (plain / "nowhere").symlink_to("nothing")
        (plain / "round").symlink_to("round")
        (plain / "up").symlink_to(".")

        context = overlay(None, plain)

        assert [name for name in names(context) if context.is_link(context.sources[name])] == [
            "inside",
            "nowhere",
            "round",
            "up",
        ]
        assert context.notices == ()

    def test_that_lead_out_of_a_plain_context_are_mentioned_and_not_followed(
        self, plain: Path, tmp_path: Path
    ) -> None:
        write(tmp_path / "secret" / "key", "s3cr3t")
        (plain / "out").symlink_to("../secret")

        context = overlay(None, plain)

        assert "out/key" not in context.sources
        (notice,) = context.notices
        assert notice.endswith(f"outside of {plain}: it is sent as a link alone.")

    @pytest.mark.parametrize("name", ["Dockerfile", ".dockerignore", "builder-fn.json"])
    def test_that_the_builder_would_read_are_followed_out_of_a_plain_context(
        self, plain: Path, tmp_path: Path, name: str
    ) -> None:
        write(tmp_path / "common", "shared\n")
        (plain / name).unlink(missing_ok=True)
        (plain / name).symlink_to("../common")

        context = overlay(None, plain)

        assert not context.is_link(context.sources[name])
        assert context.text_of(name) == "shared\n"
        assert context.notices[0].endswith("what it leads to is sent.")

    def test_are_mentioned_a_few_at_a_time(self, plain: Path) -> None:
        for number in range(30):
            (plain / f"link{number}").symlink_to("/usr")

        context = overlay(None, plain)

        assert len(context.notices) == 11
        assert context.notices[-1] == "... and 20 more of this kind."


class TestNotSent:
    @pytest.mark.parametrize(
        ("make", "what"),
        [
            pytest.param(bind_socket, "a socket", id="socket"),
            pytest.param(os.mkfifo, "a named pipe", id="named pipe"),
        ],
    )
    @pytest.mark.parametrize("with_template", [True, False])
    def test_is_what_no_image_can_hold_with_a_notice(
        self, *, template: Path, plain: Path, make: object, what: str, with_template: bool
    ) -> None:
        assert callable(make)
        make(plain / "odd")

        context = overlay(template if with_template else None, plain)

        assert not [name for name in context.sources if name.endswith("odd")]
        assert context.notices == (f"{plain}/odd is {what}: it is left out.",)

    @pytest.mark.parametrize(
        ("make", "complaint"),
        [
            pytest.param(link_to_nothing, "is a link to nothing", id="link to nothing"),
            pytest.param(link_to_itself, "is a link to nothing", id="link to itself"),
            pytest.param(link_to_the_folder_above, "is a link back to a folder", id="loop"),
            pytest.param(device, "is neither a file nor a folder", id="device"),
        ],
    )
    def test_is_refused_where_it_would_have_to_be(
        self, template: Path, handler: Path, make: object, complaint: str
    ) -> None:
        assert callable(make)
        make(handler / "odd")

        with pytest.raises(UsageError, match=complaint) as refused:
            overlay(template, handler)
        assert ".dockerignore" in str(refused.value)

    @pytest.mark.parametrize(
        "make",
        [
            bind_socket,
            os.mkfifo,
            link_to_nothing,
            link_to_itself,
            link_to_the_folder_above,
            device,
        ],
    )
    @pytest.mark.parametrize("ignored", ["**/odd", "function/odd", "function", "*\n!Dockerfile"])
    def test_is_not_judged_where_it_is_ignored(
        self, template: Path, handler: Path, make: object, ignored: str
    ) -> None:
        assert callable(make)
        make(handler / "odd")
        write(template / ".dockerignore", ignored)

        context = overlay(template, handler)

        assert "function/odd" not in context.sources
        assert context.notices == ()

    def test_nor_is_a_folder_that_may_not_be_read(self, plain: Path) -> None:
        write(plain / ".dockerignore", "data\n")
        (plain / "data").mkdir(mode=0o000)

        assert "data" not in overlay(None, plain).sources


class TestIgnored:
    def test_files_do_not_travel_and_their_exceptions_do(self, plain: Path) -> None:
        write(plain / ".dockerignore", "*\n!src/main.c\n")
        write(plain / "src" / "main.c", "")
        write(plain / "src" / "old.c", "")

        assert names(overlay(None, plain)) == [
            ".dockerignore",
            "Dockerfile",
            "src",
            "src/main.c",
        ]

    @pytest.mark.parametrize("name", ["builder-fn.json", "function/builder-fn.json"])
    def test_never_is_what_the_builder_itself_reads(self, plain: Path, name: str) -> None:
        write(plain / name, '{"dockerfile": "docker/Dockerfile.arm"}')
        write(plain / "docker" / "Dockerfile.arm", "FROM scratch\n")
        write(plain / "docker" / "Dockerfile.arm.dockerignore", "**\n")

        assert {name, "docker/Dockerfile.arm", "docker/Dockerfile.arm.dockerignore"} <= set(
            names(overlay(None, plain))
        )

    def test_is_what_the_dockerfiles_own_ignore_file_says(self, plain: Path) -> None:
        write(plain / "Dockerfile.dockerignore", "kept\n")
        write(plain / ".dockerignore", "Dockerfile.dockerignore\n")

        assert names(overlay(None, plain)) == [
            ".dockerignore",
            "Dockerfile",
            "Dockerfile.dockerignore",
        ]

    def test_is_nothing_by_the_handlers_own_file_which_is_not_the_contexts(
        self, template: Path, handler: Path
    ) -> None:
        write(handler / ".dockerignore", "requirements.txt\n")

        assert "function/requirements.txt" in overlay(template, handler).sources


class TestDockerfile:
    def test_may_be_named_from_here_or_within_the_context(
        self, plain: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write(plain / "docker" / "Dockerfile.arm", "FROM scratch\n")
        monkeypatch.chdir(plain.parent)
        folder = Path("plain")

        for named in (
            Path("plain/docker/Dockerfile.arm"),
            Path("docker/Dockerfile.arm"),
            plain / "docker" / "Dockerfile.arm",
            Path("plain/../plain/docker/Dockerfile.arm"),
        ):
            assert dockerfile.path_in_context(named, None, folder) == "docker/Dockerfile.arm"

    def test_of_a_template_or_its_handler_is_found_in_the_context(
        self, template: Path, handler: Path
    ) -> None:
        write(handler / "Dockerfile.dev", "")

        assert (
            dockerfile.path_in_context(template / "Dockerfile", template, handler) == "Dockerfile"
        )
        assert (
            dockerfile.path_in_context(handler / "Dockerfile.dev", template, handler)
            == "function/Dockerfile.dev"
        )

    def test_outside_of_the_context_is_refused(self, plain: Path, tmp_path: Path) -> None:
        write(tmp_path / "Dockerfile", "")

        with pytest.raises(UsageError, match="is outside of"):
            dockerfile.path_in_context(tmp_path / "Dockerfile", None, plain)

    def test_that_is_nowhere_is_refused(self, plain: Path) -> None:
        with pytest.raises(UsageError, match=r"There is no Dockerfile\.none"):
            dockerfile.path_in_context(Path("Dockerfile.none"), None, plain)

    def test_may_have_its_default_name_in_lower_case(self, plain: Path) -> None:
        (plain / "Dockerfile").rename(plain / "dockerfile")

        assert "dockerfile" in overlay(None, plain).sources


def test_refuses_to_lay_a_file_over_a_folder(template: Path, handler: Path) -> None:
    write(template / "function" / "data" / "a", "")
    write(handler / "data", "")

    with pytest.raises(UsageError, match="one is a folder, the other a file"):
        overlay(template, handler)


@pytest.mark.parametrize("with_template", [True, False])
def test_a_handler_that_is_not_there_is_told_as_such(
    *, template: Path, tmp_path: Path, with_template: bool
) -> None:
    with pytest.raises(UsageError) as refused:
        overlay(template if with_template else None, tmp_path / "none")

    assert str(refused.value) == (
        f"{tmp_path}/none is not a folder (there is no such folder): name the one to build."
    )


def test_names_a_missing_template_and_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="faas-cli template store pull go"):
        find_template("go", tmp_path / "none")


@pytest.mark.skipif(shutil.which("faas-cli") is None, reason="faas-cli is not on PATH")
def test_faas_cli_shrink_wraps_to_the_same_files(
    template: Path, handler: Path, tmp_path: Path
) -> None:
    write(handler / "build" / "old.txt", "")
    write(handler / "run.sh", "#!/bin/sh\n", mode=0o755)
    (handler / "link.py").symlink_to("handler.py")
    (handler / "empty").mkdir()

    command = ["faas-cli", "build", "--shrinkwrap", "--name", "context", "--lang", "python3-http"]
    subprocess.run([*command, "--image", "r/a:1", "--handler", handler], cwd=tmp_path, check=True)

    theirs = tmp_path / "build" / "context"
    found = {path.relative_to(theirs).as_posix(): path for path in theirs.rglob("*")}
    ours = overlay(template, handler).sources
    assert found.keys() == ours.keys()
    files = [path for path in found if found[path].is_file()]
    assert {path: found[path].read_bytes() for path in files} == {
        path: ours[path].read_bytes() for path in files
    }
