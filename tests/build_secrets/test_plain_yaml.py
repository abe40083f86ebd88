from __future__ import annotations

import json
import traceback
from typing import TYPE_CHECKING

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from function.build_secrets import plain_yaml
from function.build_secrets.plain_yaml import NotPlainYAML, parse

if TYPE_CHECKING:
    from collections.abc import Iterator

LOADERS = [yaml.BaseLoader, yaml.CBaseLoader]

# What YAML is made of, so that documents are nearly right.
PIECES = [
    *(
        "a",
        "b: ",
        "\n",
        " ",
        "  ",
        "- ",
        "? ",
        ": ",
        "{",
        "}",
        "[",
        "]",
        ",",
        '"',
        "'",
        "|\n",
        ">-\n",
    ),
    *(
        "&x ",
        "*x",
        "!",
        "!!binary ",
        "---\n",
        "...\n",
        "#c",
        "%YAML 1.1\n",
        "<<: ",
        "~",
        "\t",
        "\0",
    ),
    *(r"\ud800", r"\U00110000", r"\UFFFFFFFF", r"\x", "\ufeff", "\x85"),
]


def values(characters: st.SearchStrategy[str]) -> st.SearchStrategy[object]:
    texts = st.text(characters, max_size=20)
    return st.recursive(
        st.none() | texts,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
        max_leaves=8,
    )


@pytest.fixture(params=LOADERS, ids=["Python's own", "libyaml"])
def loader(request: pytest.FixtureRequest) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plain_yaml, "_LOADER", request.param)
        yield


def nesting(value: object) -> int:
    match value:
        case list():
            return 1 + max(map(nesting, value), default=0)
        case dict():
            return 1 + max(map(nesting, value.values()), default=0)
    return 0


@pytest.mark.usefixtures("loader")
@pytest.mark.parametrize(
    ("document", "value"),
    [
        pytest.param("a: b", {"a": "b"}, id="block style"),
        pytest.param('{"a": ["b", {}]}', {"a": ["b", {}]}, id="JSON"),
        pytest.param("? |-\n  a\n  b\n: c", {"a\nb": "c"}, id="a key of two lines"),
        pytest.param("\ufeff# hello\n---\na: b\n...\n", {"a": "b"}, id="with all its frills"),
        pytest.param("a:\nb: ~\nc: null\n", dict.fromkeys("abc"), id="nothing"),
        pytest.param("a: ''\nb: '~'\nc: !!str null", {"a": "", "b": "~", "c": "null"}, id="text"),
        pytest.param("just text", "just text", id="a scalar"),
    ],
)
def test_reads_plain_values(document: str, value: object) -> None:
    assert parse(document.encode()) == value


@pytest.mark.usefixtures("loader")
@pytest.mark.parametrize(
    "text", ["1e5", "yes", "0x1F", "1_000", "2026-01-01", "1:30", ".nan", "on"]
)
def test_leaves_a_scalar_its_own_text(text: str) -> None:
    assert parse(f"{text}: {text}".encode()) == {text: text}


def test_a_scalar_without_quotes_is_read_as_its_reader_wishes() -> None:
    document = b"{a: 1, b: '1', c: [2, ~], 3: x}"

    def plain(text: str) -> object:
        return int(text) if text.isdecimal() else text

    assert parse(document, plain) == {"a": 1, "b": "1", "c": [2, None], "3": "x"}


def test_reads_utf_16() -> None:
    assert parse("a: ü".encode("utf-16")) == {"a": "ü"}


@pytest.mark.usefixtures("loader")
@pytest.mark.parametrize(
    ("document", "clause"),
    [
        pytest.param(b"", "it is empty", id="empty"),
        pytest.param(b"# nothing\n", "it is empty", id="a comment"),
        pytest.param(b"a: b\n---\na: b\n", "it holds more than one document", id="two documents"),
        pytest.param(b"a: b\nc: d: e\n", "line 2 is not YAML", id="bad syntax"),
        pytest.param(b"a: 'b", "line 1 is not YAML", id="broken off"),
        pytest.param(b"a: \xff", "it is not text", id="not UTF-8"),
        pytest.param(b"a: \0", "it is not text", id="a NUL"),
        pytest.param(b"a: &x b\n", "line 1 has an anchor", id="an anchor"),
        pytest.param(b"a: &x [b]\nc: *x\n", "line 1 has an anchor", id="a list with an anchor"),
        pytest.param(b"a: b\nc: *x\n", "line 2 has an alias", id="an alias"),
        pytest.param(b"*x : a\n", "line 1 has an alias", id="an alias for a key"),
        pytest.param(b"a: !!binary YQ==\n", "line 1 has a tag", id="binary"),
        pytest.param(b"!!binary YQ==: b\n", "line 1 has a tag", id="a binary key"),
        pytest.param(b"--- !!set {a, b}\n", "line 1 has a tag", id="a set"),
        pytest.param(b"a: !!python/name:os.system x\n", "line 1 has a tag", id="an object"),
        pytest.param(b"a: 1\nb: 2\na: 3\n", 'line 3 has the key "a" again', id="a key twice"),
        pytest.param(b"a: 1\n'a': 3\n", 'line 2 has the key "a" again', id="a key twice, quoted"),
        pytest.param(b"? [a]\n: b\n", "line 1 has a key that is no text", id="a list for a key"),
        pytest.param(b"a: b\n~: c\n", "line 2 has a key that is no text", id="nothing for a key"),
    ],
)
def test_refuses_all_else_and_says_where(document: bytes, clause: str) -> None:
    with pytest.raises(NotPlainYAML) as raised:
        parse(document)

    assert str(raised.value) == clause


@pytest.mark.usefixtures("loader")
@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? "])
def test_refuses_depth_without_going_there(opening: str) -> None:
    with pytest.raises(NotPlainYAML, match="line 1 is nested too deeply"):
        parse(opening.encode() * 100_000)


@pytest.mark.usefixtures("loader")
def test_refuses_a_bomb_at_its_first_anchor() -> None:
    lines = ["a: &a [x, x, x, x, x, x, x, x]"]
    lines += [
        f"{b}: &{b} [{', '.join([f'*{a}'] * 8)}]"
        for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    ]

    with pytest.raises(NotPlainYAML, match="line 1 has an anchor"):
        parse("\n".join(lines).encode())


@pytest.mark.usefixtures("loader")
@pytest.mark.parametrize("document", ["a: plaintext: b", "a: *plaintext", 'a: "plaintext \\q"'])
def test_an_error_quotes_no_value_even_in_its_causes(document: str) -> None:
    with pytest.raises(NotPlainYAML) as raised:
        parse(document.encode())

    assert "plaintext" not in "".join(traceback.format_exception(raised.value))


@pytest.mark.parametrize("loader_class", LOADERS)
@given(value=values(st.characters(codec="utf-8")))
def test_reads_back_what_others_write(loader_class: type, value: object) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plain_yaml, "_LOADER", loader_class)

        assert parse(yaml.safe_dump(value).encode()) == value


# YAML takes no control characters, and some of Unicode's line ends for its own.
@given(value=values(st.characters(exclude_categories=["C", "Zl", "Zp"])))
def test_reads_json_of_printable_text(value: object) -> None:
    assert parse(json.dumps(value, ensure_ascii=False).encode()) == value


@pytest.mark.parametrize("loader_class", LOADERS)
@given(
    document=st.binary(max_size=60) | st.lists(st.sampled_from(PIECES)).map("".join).map(str.encode)
)
def test_any_bytes_are_read_or_refused(loader_class: type, document: bytes) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plain_yaml, "_LOADER", loader_class)
        try:
            value = parse(document)
        except NotPlainYAML:
            return

    assert nesting(value) <= 8
