from __future__ import annotations

import json
import re
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from function.errors import BuilderError, ConfigError
from function.registry.reference import Reference
from function.request.archive import CONFIG
from function.request.options import BuildConfig, Document

IMAGE = "registry.example.com/team/fn:1"
README = Path(__file__).resolve().parents[2] / "README.md"
KEYS = [option.metadata["key"] for option in fields(BuildConfig) if option.metadata]


def read(values: dict[str, object], *files: dict[str, object]) -> BuildConfig:
    request = Document(CONFIG, json.dumps(values).encode())
    return BuildConfig.parse(
        request, [Document("builder-fn.json", json.dumps(file).encode()) for file in files]
    )


def parse(**options: object) -> BuildConfig:
    return read({"image": IMAGE, **options})


def test_refuses_more_build_arguments_than_the_output_can_be_searched_for() -> None:
    most = {f"ARG_{number}": "abc" for number in range(256)}

    assert len(parse(buildArgs=most).build_args) == 256
    with pytest.raises(ConfigError, match="has 257 build arguments; 256 are the most") as refused:
        read({"image": IMAGE, "buildArgs": {"MORE": "x"}}, {"buildArgs": most})
    assert "Dockerfile" in str(refused.value)


def test_refuses_build_arguments_that_are_files() -> None:
    assert parse(buildArgs={"A": "x" * (256 * 1024 - 1)}).build_args
    with pytest.raises(ConfigError, match="have 262145 bytes together; 262144 are the most"):
        parse(buildArgs={"A": "ü" * (128 * 1024)})


def test_reads_every_option() -> None:
    found = parse(
        buildArgs={"PYTHON_VERSION": "3.13", "ADDITIONAL_PACKAGE": ""},
        platforms=["linux/amd64", "linux/arm64"],
        skipPush=True,
        target="test",
        labels={"org.example.commit": "abc"},
        tags=["latest", "registry.example.com/mirror/fn:1"],
        dockerfile="./docker/prod.Dockerfile",
        noCache=True,
        pull=True,
        reproducible=True,
        timeout="10m",
        detach=True,
        callbackUrl="https://example.com/built",
    )

    assert found == BuildConfig(
        image=Reference("registry.example.com", "team/fn", "1"),
        build_args={
            "PYTHON_VERSION": "3.13",
            "ADDITIONAL_PACKAGE": "",
            "SOURCE_DATE_EPOCH": "0",
        },
        platforms=("linux/amd64", "linux/arm64"),
        skip_push=True,
        target="test",
        labels={"org.example.commit": "abc"},
        tags=("latest", "registry.example.com/mirror/fn:1"),
        dockerfile="docker/prod.Dockerfile",
        no_cache=True,
        pull=True,
        reproducible=True,
        timeout=600.0,
        detach=True,
        callback_url="https://example.com/built",
    )
    assert found.image.text == IMAGE


def test_only_the_image_is_required() -> None:
    assert parse() == BuildConfig(image=Reference.parse(IMAGE))


def test_tolerates_unknown_keys_of_any_type() -> None:
    assert parse(frontend="x", nested={"a": [1, None]}, n=1e99) == parse()


def test_null_is_an_absent_option() -> None:
    assert parse(buildArgs=None, platforms=None, skipPush=None) == parse()


def test_an_empty_array_is_phps_empty_map() -> None:
    assert parse(buildArgs=[]) == parse()


@pytest.mark.parametrize(
    ("platforms", "read"),
    [
        pytest.param([""], (), id="faas-cli without platforms"),
        pytest.param([], (), id="none"),
        pytest.param([" linux/amd64", "linux/arm64 "], ("linux/amd64", "linux/arm64"), id="padded"),
        pytest.param(["linux/amd64", "", " "], ("linux/amd64",), id="a comma too many"),
        pytest.param(["linux/arm/v7"], ("linux/arm/v7",), id="a variant"),
        pytest.param(["linux/amd64", "linux/amd64 "], ("linux/amd64",), id="twice"),
    ],
)
def test_reads_platforms_as_clients_write_them(platforms: list[str], read: tuple[str]) -> None:
    assert parse(platforms=platforms).platforms == read


@pytest.mark.parametrize(
    "platform", ["linux", "linux/", "/amd64", "linux/arm/v7/x", "linux amd64", "linux/amd64,x/y"]
)
def test_rejects_what_is_no_platform(platform: str) -> None:
    with pytest.raises(ConfigError, match=f'"{platform}" in platforms .* is no platform'):
        parse(platforms=[platform])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image": 1}, "image in .* must be a string, not a number"),
        ({"image": ["a"]}, "image in .* must be a string, not an array"),
        ({"buildArgs": "A=1"}, "buildArgs in .* must be an object of strings, not a string"),
        ({"buildArgs": ["A=1"]}, "buildArgs in .* must be an object of strings, not an array"),
        ({"buildArgs": {"FOO": 1}}, "buildArgs.FOO in .* must be a string, not a number"),
        ({"buildArgs": {"FOO": 1.5}}, "buildArgs.FOO in .* must be a string, not a number"),
        ({"buildArgs": {"FOO": True}}, "buildArgs.FOO in .* must be a string, not a boolean"),
        ({"buildArgs": {"FOO": None}}, "buildArgs.FOO in .* must be a string, not null"),
        ({"buildArgs": {"FOO": {}}}, "buildArgs.FOO in .* must be a string, not an object"),
        ({"platforms": "linux/amd64"}, "platforms in .* must be an array of strings, not a string"),
        ({"platforms": ["linux/amd64", 1]}, r"platforms\[1\] in .* must be a string, not a number"),
        ({"skipPush": "true"}, "skipPush in .* must be a boolean, not a string"),
        ({"skipPush": 1}, "skipPush in .* must be a boolean, not a number"),
        ({"target": ["a"]}, "target in .* must be a string, not an array"),
        ({"labels": {"a": [1, None]}}, "labels.a in .* must be a string, not an array"),
        ({"tags": "latest"}, "tags in .* must be an array of strings, not a string"),
        ({"dockerfile": 1}, "dockerfile in .* must be a string, not a number"),
        ({"noCache": "yes"}, "noCache in .* must be a boolean, not a string"),
        ({"pull": None, "timeout": True}, "timeout in .* must be a duration .*, not a boolean"),
        ({"timeout": {}}, "timeout in .* must be a duration .*, not an object"),
    ],
)
def test_names_the_option_of_a_wrong_type(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse(**options)


@pytest.mark.parametrize("image", ["a b", "Upper", "r.io/", "a" * 300, "$(reboot)", ""])
def test_a_bad_image_name_is_found_before_the_build(image: str) -> None:
    with pytest.raises(ConfigError, match="image name"):
        parse(image=image)


def test_an_image_to_push_has_no_digest() -> None:
    with pytest.raises(ConfigError, match=r"has a digest, .* use a tag"):
        parse(image="r.io/a@sha256:" + "0" * 64)


@pytest.mark.parametrize("document", [b"{}", b'{"image": null}'])
def test_rejects_a_config_without_an_image(document: bytes) -> None:
    with pytest.raises(ConfigError, match='has no "image"'):
        BuildConfig.parse(Document(CONFIG, document))


@pytest.mark.parametrize("image", [{}, {"image": None}, {"image": ""}], ids=str)
def test_a_build_that_is_not_pushed_needs_no_image(image: dict[str, object]) -> None:
    """Go's programs, such as go-sdk's, write an image that they do not have as an empty one."""
    document = Document(CONFIG, json.dumps({"skipPush": True, **image}).encode())

    assert BuildConfig.parse(document).image.text == ""


@pytest.mark.parametrize("value", ["a\0b", "\ud800"])
def test_rejects_strings_that_no_environment_can_hold(value: str) -> None:
    with pytest.raises(ConfigError, match=r"buildArgs\.FOO in .* has a NUL or half a surrogate"):
        parse(buildArgs={"FOO": value})


def test_an_odd_key_does_not_spoil_the_message() -> None:
    with pytest.raises(ConfigError) as caught:
        parse(buildArgs={"\n\x1b" + "x" * 1000: 1})
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


def test_the_message_never_shows_a_build_argument() -> None:
    with pytest.raises(ConfigError) as caught:
        parse(buildArgs={"TOKEN": "s3cret\0"})
    assert "s3cret" not in str(caught.value)


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.just(IMAGE)),
    lambda values: st.one_of(st.lists(values), st.dictionaries(st.text(), values)),
    max_leaves=6,
)
options = st.dictionaries(st.sampled_from([*KEYS, "other", "tag"]), json_values)


@given(st.one_of(options.map(lambda value: json.dumps(value).encode()), st.binary()))
def test_any_document_is_read_or_refused_in_one_line(document: bytes) -> None:
    try:
        BuildConfig.parse(Document(CONFIG, document))
    except BuilderError as error:
        message = str(error)
    else:
        message = ""
    assert message == "" or message.isprintable()


def test_without_options_the_frontend_is_told_nothing() -> None:
    assert parse().frontend_attrs == {}
    assert parse(noCache=False, pull=False, target="", labels={}).frontend_attrs == {}


def test_the_frontend_is_told_each_option_by_its_own_name_for_it() -> None:
    config = parse(
        buildArgs={"A": "1", "EMPTY": ""},
        platforms=["linux/amd64", "linux/arm64"],
        target="test",
        labels={"l": "v", "empty": ""},
        dockerfile="docker/prod",
        noCache=True,
        pull=True,
        tags=["2"],
        timeout="1m",
        skipPush=True,
    )

    assert config.frontend_attrs == {
        "build-arg:A": "1",
        "build-arg:EMPTY": "",
        "platform": "linux/amd64,linux/arm64",
        "target": "test",
        "label:l": "v",
        "label:empty": "",
        "filename": "docker/prod",
        "no-cache": "",
        "image-resolve-mode": "pull",
    }


def test_an_image_has_its_own_name_without_others() -> None:
    assert parse().names == (IMAGE,)
    assert parse(image="fn").names == ("docker.io/library/fn:latest",)


def test_tags_are_more_names_for_the_same_image() -> None:
    tags = ["latest", "other.example.com/fn:2", "localhost:5000/fn", "hub/fn", "fn:3", "1"]

    assert parse(tags=tags).names == (
        IMAGE,
        "registry.example.com/team/fn:latest",
        "other.example.com/fn:2",
        "localhost:5000/fn:latest",
        "docker.io/hub/fn:latest",
        "docker.io/library/fn:3",
    )


@pytest.mark.parametrize("tag", ["-x", "a b", "a,b", "Upper/x", "r.io/a@sha256:" + "0" * 64])
def test_rejects_what_is_neither_tag_nor_name(tag: str) -> None:
    with pytest.raises(ConfigError):
        parse(tags=[tag])


@pytest.mark.parametrize("target", ["a b", "-a", "a/b", "a,b"])
def test_rejects_what_can_be_no_stage(target: str) -> None:
    with pytest.raises(ConfigError, match=r"target in .* must be the name of a stage"):
        parse(target=target)


@pytest.mark.parametrize("path", ["/Dockerfile", "../Dockerfile", "a/../b", "docker/", "."])
def test_rejects_a_dockerfile_outside_the_context(path: str) -> None:
    with pytest.raises(ConfigError, match=r"dockerfile in .* below context/"):
        parse(dockerfile=path)


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("90s", 90.0), ("1m30s", 90.0), (90, 90.0), (90.0, 90.0), (1.5, 1.5), (1e300, 1e300)],
)
def test_a_timeout_is_gos_or_plain_seconds(written: object, seconds: float) -> None:
    assert parse(timeout=written).timeout == seconds


@pytest.mark.parametrize("written", ["", "soon", "0s", -1, 0, -1.5, 1e400, 10**400, "1e3"])
def test_rejects_what_is_no_time(written: object) -> None:
    with pytest.raises(ConfigError, match=r"timeout in|is no JSON number"):
        parse(timeout=written)


def test_a_time_is_finite() -> None:
    with pytest.raises(ConfigError, match=r'timeout in .* a number of seconds above 0, not "inf"'):
        BuildConfig.parse(Document("config", b'{"image": "x", "timeout": 1e999}'))


@pytest.mark.parametrize("key", ["tags", "platforms"])
def test_rejects_more_than_a_hundred_strings(key: str) -> None:
    with pytest.raises(ConfigError, match=rf"{key} in .* has 101 strings; 100 are the most"):
        parse(**{key: ["linux/amd64"] * 101})


def test_rejects_a_platform_that_would_fill_the_answer() -> None:
    with pytest.raises(ConfigError, match="is no platform"):
        parse(platforms=["linux/" + "a" * 65])


def test_hints_are_few() -> None:
    assert len(parse(**{f"buildArg{at}": {} for at in range(50)}).warnings) == 10


def test_a_label_has_a_name() -> None:
    with pytest.raises(ConfigError, match=r"labels in .* has a label without a name"):
        parse(labels={"": "x"})


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("buildArg", "buildArgs"),
        ("platform", "platforms"),
        ("tag", "tags"),
        ("no_cache", "noCache"),
    ],
)
def test_a_key_that_is_nearly_known_draws_a_hint(written: str, meant: str) -> None:
    config = parse(**{written: "x"})

    [warning] = config.warnings
    assert warning.message == f'"{written}" in {CONFIG} means nothing; did you mean "{meant}"?'


def test_a_key_that_is_like_nothing_draws_none() -> None:
    assert parse(frontend="x", webhook="x", x=1).warnings == ()


def test_keys_are_taken_in_any_case_as_by_go() -> None:
    assert parse(buildargs={"A": "1"}, SkipPush=True) == parse(buildArgs={"A": "1"}, skipPush=True)


def test_one_option_in_two_cases_is_there_twice() -> None:
    with pytest.raises(ConfigError, match='has the key "SKIPPUSH" twice'):
        parse(skipPush=True, SKIPPUSH=False)


def test_maps_of_files_are_merged_under_the_requests() -> None:
    config = read(
        {"image": IMAGE, "buildArgs": {"A": "request"}, "platforms": [""]},
        {"buildArgs": {"A": "template", "B": "template", "C": "template"}, "target": "template"},
        {"buildArgs": {"B": "function"}, "target": "function", "platforms": ["linux/amd64"]},
    )

    assert config.build_args == {"A": "request", "B": "function", "C": "template"}
    assert (config.target, config.platforms) == ("function", ("linux/amd64",))


def test_the_request_has_the_last_word() -> None:
    config = read(
        {"image": IMAGE, "target": "ship", "pull": False}, {"target": "test", "pull": True}
    )

    assert (config.target, config.pull) == ("ship", False)


@pytest.mark.parametrize("key", ["image", "skipPush", "detach", "callbackUrl"])
def test_what_belongs_to_the_request_is_refused_in_a_file(key: str) -> None:
    with pytest.raises(ConfigError, match=f"{key} cannot be set in builder-fn.json"):
        read({"image": IMAGE}, {key: None})


@pytest.mark.parametrize(
    ("options", "epoch"),
    [
        ({"reproducible": True}, "0"),
        ({"reproducible": True, "buildArgs": {"SOURCE_DATE_EPOCH": "5"}}, "5"),
        ({"reproducible": True, "buildArgs": {"SOURCE_DATE_EPOCH": ""}}, "0"),
        ({"buildArgs": {"SOURCE_DATE_EPOCH": "5"}}, "5"),
    ],
)
def test_a_reproducible_build_has_an_epoch_and_layers_rewritten_to_it(
    options: dict[str, object], epoch: str
) -> None:
    config = parse(**options)

    assert config.frontend_attrs == {"build-arg:SOURCE_DATE_EPOCH": epoch}
    assert config.exporter_attrs == {"rewrite-timestamp": "true"}
    assert config.source_date_epoch == epoch


@pytest.mark.parametrize(
    "options", [{}, {"buildArgs": {"SOURCE_DATE_EPOCH": ""}}, {"reproducible": False}]
)
def test_other_builds_keep_the_times_that_they_make(options: dict[str, object]) -> None:
    config = parse(**options)

    assert (config.source_date_epoch, config.exporter_attrs) == ("", {})


def test_an_epoch_of_an_options_file_goes_before_the_reproducible_one() -> None:
    config = read({"image": IMAGE, "reproducible": True}, {"buildArgs": {"SOURCE_DATE_EPOCH": "5"}})

    assert config.source_date_epoch == "5"


def test_every_option_has_its_row_in_the_readme() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", README.read_text(encoding="utf-8"), re.MULTILINE)

    assert set(KEYS) - set(rows) == set()
