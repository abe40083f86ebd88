from __future__ import annotations

import gzip
import json
from contextlib import suppress

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from function.archive import Limits
from function.bundle import BuildConfig, unpack
from function.errors import ArchiveError, BodyTooLarge, BuilderError, ConfigError
from function.reference import Reference

from .tar_members import config, file, request, tar

IMAGE = "registry.example.com/team/fn:1"


def parse(**options: object) -> BuildConfig:
    return BuildConfig.parse(json.dumps({"image": IMAGE, **options}).encode())


def test_reads_every_option() -> None:
    found = parse(
        buildArgs={"PYTHON_VERSION": "3.13", "ADDITIONAL_PACKAGE": ""},
        platforms=["linux/amd64", "linux/arm64"],
        skipPush=True,
    )

    assert found == BuildConfig(
        image=Reference("registry.example.com", "team/fn", "1"),
        build_args={"PYTHON_VERSION": "3.13", "ADDITIONAL_PACKAGE": ""},
        platforms=("linux/amd64", "linux/arm64"),
        skip_push=True,
    )
    assert found.image.text == IMAGE


def test_only_the_image_is_required() -> None:
    assert parse() == BuildConfig(image=Reference.parse(IMAGE))


def test_tolerates_unknown_keys_of_any_type() -> None:
    assert parse(frontend="x", labels={"a": [1, None]}, n=1e99) == parse()


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
        BuildConfig.parse(document)


@pytest.mark.parametrize("value", ["a\0b", "\ud800"])
def test_rejects_strings_that_no_environment_can_hold(value: str) -> None:
    with pytest.raises(ConfigError, match=r"buildArgs\.FOO in .* has a NUL or half a surrogate"):
        parse(buildArgs={"FOO": value})


def test_an_odd_key_does_not_spoil_the_message() -> None:
    with pytest.raises(ConfigError) as caught:
        parse(buildArgs={"\n\x1b" + "x" * 1000: 1})
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("document", "message"),
    [
        pytest.param(b"", "not valid JSON: .* at line 1, column 1", id="empty"),
        pytest.param(b'{\n  "image": x}', "line 2, column 12", id="a bare word"),
        pytest.param(b'{"image": "x",}', "not valid JSON", id="a comma too many"),
        pytest.param(b'{"image": "x"} {}', "Extra data", id="two documents"),
        pytest.param(b'{"image": "x", "a": NaN}', "NaN is no JSON number", id="not a number"),
        pytest.param(b'{"image": "\xff"}', "not UTF-8: byte 11", id="not UTF-8"),
        pytest.param('{"image": "x"}'.encode("utf-16"), "not UTF-8", id="UTF-16"),
        pytest.param(b"[]", "must be a JSON object, not an array", id="an array"),
        pytest.param(b'"x"', "must be a JSON object, not a string", id="a string"),
        pytest.param(b"null", "must be a JSON object, not null", id="null"),
        pytest.param(b"[" * 100_000, "is not JSON that any build", id="nested too deep"),
        pytest.param(b'{"a": ' + b"1" * 5000 + b"}", "is not JSON that any", id="a huge number"),
        pytest.param(b'{"image":"x","image":"y"}', 'key "image" twice', id="a key twice"),
        pytest.param(b'{"image":"x","buildArgs":{"A":"1","A":"2"}}', 'key "A" twice', id="below"),
    ],
)
def test_says_what_is_wrong_with_a_document(document: bytes, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        BuildConfig.parse(document)


def test_takes_a_byte_order_mark() -> None:
    assert BuildConfig.parse(b'\xef\xbb\xbf{"image": "x"}').image.path == "library/x"


def test_the_message_never_shows_a_build_argument() -> None:
    with pytest.raises(ConfigError) as caught:
        parse(buildArgs={"TOKEN": "s3cret\0"})
    assert "s3cret" not in str(caught.value)


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.just(IMAGE)),
    lambda values: st.one_of(st.lists(values), st.dictionaries(st.text(), values)),
    max_leaves=6,
)
options = st.dictionaries(
    st.sampled_from(["image", "buildArgs", "platforms", "skipPush", "other"]), json_values
)


@given(st.one_of(options.map(lambda value: json.dumps(value).encode()), st.binary()))
def test_any_document_is_read_or_refused_in_one_line(document: bytes) -> None:
    try:
        BuildConfig.parse(document)
    except BuilderError as error:
        message = str(error)
    else:
        message = ""
    assert message == "" or message.isprintable()


def _plain(body: bytes) -> bytes:
    return body


@pytest.mark.parametrize("compress", [_plain, gzip.compress, zstandard.compress])
def test_unpacks_a_request_however_it_is_compressed(compress: object) -> None:
    body = request(file("context/sub/x", b"data"))

    found = unpack(memoryview(compress(body)), Limits())  # type: ignore[operator]

    assert found.config.image.domain == "registry.example.com"
    assert [entry.path for entry in found.context.entries] == ["Dockerfile", "sub", "sub/x"]
    assert found.context.entries[-1].data == b"data"
    assert found.sealed_secrets is None


def test_the_context_of_a_nested_request_is_where_its_dockerfile_is() -> None:
    body = tar(config(), file("context/fn/Dockerfile"), file("context/fn/handler.py"))

    found = unpack(memoryview(body), Limits())

    assert [entry.path for entry in found.context.entries] == ["Dockerfile", "handler.py"]


def test_hands_on_the_secrets_sealed() -> None:
    body = request(file("com.openfaas.secrets", b"version: v1"))

    assert unpack(memoryview(body), Limits()).sealed_secrets == b"version: v1"


def test_rejects_a_request_without_a_dockerfile() -> None:
    with pytest.raises(ArchiveError, match="no Dockerfile in context/"):
        unpack(memoryview(tar(config(), file("context/handler.py"))), Limits())


def test_a_bomb_is_too_large_rather_than_unpacked() -> None:
    bomb = gzip.compress(request(file("context/zeros", bytes(8 << 20))))

    with pytest.raises(BodyTooLarge, match="unpacks to more than 1048576 bytes"):
        unpack(memoryview(bomb), Limits(context_bytes=1 << 20))


@given(st.binary(max_size=600))
def test_arbitrary_bodies_raise_only_our_own_errors(body: bytes) -> None:
    with suppress(BuilderError):
        unpack(memoryview(body), Limits())
