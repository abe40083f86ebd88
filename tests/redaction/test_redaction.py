from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import string
import textwrap
import tracemalloc
import urllib.parse
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
import yaml as pyyaml
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from function.buildkit.progress.printer import Printer
from function.buildkit.text.plain_text import plain
from function.pb import control_pb2 as pb
from function.redaction import Redactor
from function.redaction.detection import looks_secret
from function.redaction.index import Index
from function.redaction.redactor import _WINDOW
from function.redaction.views import View, as_shown

if TYPE_CHECKING:
    from collections.abc import Callable

TOKEN = "q7Zt3LmX0vKc9RbW2nHs_A1b2C3d4E5f6G7h8"
MARK = "[redacted]"

# Lines of real builds, host names changed.
BUILD_OUTPUT = r"""
[build 3/9] RUN apk --no-cache add build-base libffi-dev
fetch https://dl-cdn.alpine.example/alpine/v3.20/main/x86_64/APKINDEX.tar.gz
(1/23) Installing ca-certificates (20240705-r0)
OK: 185 MiB in 48 packages
Get:1 http://deb.debian.example/debian bookworm InRelease [151 kB]
debconf: delaying package configuration, since apt-utils is not installed
Looking in indexes: https://pypi.example/simple, https://registry.example/artifactory/api/pypi/simple
Collecting flask==3.0.3 (from -r requirements.txt (line 1))
  Downloading flask-3.0.3-py3-none-any.whl.metadata (3.2 kB)
     ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━ 101.7/101.7 kB 3.4 MB/s eta 0:00:00
Successfully installed blinker-1.8.2 click-8.1.7 flask-3.0.3 itsdangerous-2.2.0
npm http fetch GET 200 https://registry.npmjs.example/express 112ms (cache miss)
npm warn deprecated inflight@1.0.6: This module is not supported, and leaks memory.
added 67 packages, and audited 68 packages in 2s
go: downloading github.com/openfaas/of-watchdog v0.0.0-20240711092144-d2d1e6fe8bd6
ok  	handler/function	0.004s	coverage: 92.3% of statements
--- FAIL: TestHandle_Unauthorized (0.00s)
    handler_test.go:31: got 401, want 403: "token expired"
# github.com/example/app
./main.go:17:2: undefined: passwd
Traceback (most recent call last):
  File "/home/app/function/handler.py", line 12, in <module>
    password = os.environ["DB_PASSWORD"]
KeyError: 'DB_PASSWORD'
sha256:4bcff63911fcb4448bd4fdacec207030997caf25e9bea4045fa6c8c44de311d1 3.64MB / 3.64MB 0.4s done
exporting manifest sha256:0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9
Step 4/9 : ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
+ curl -fsSL "https://example.com/a%20b?x=1&y=2" -o /dev/null
{"level":"info","msg":"listening","addr":":8080","path":"C:\\app\\bin"}
 => CACHED [internal] load metadata for docker.io/library/alpine:3.20
}
""".strip().splitlines()

NPMRC = f"""registry=https://registry.npmjs.example/
@team:registry=https://npm.corp.example/
//npm.corp.example/:_authToken={TOKEN}
//old.corp.example/:_password=aHVudGVyMg==
always-auth=true
email=build@corp.example
"""
PIP_CONF = f"""[global]
index-url = https://pypi.example/simple
extra-index-url = https://__token__:{TOKEN}@pypi.corp.example/simple
"""
NETRC = "machine git.corp.example\n  login builder\n  password hunter2\n"
SETTINGS_XML = f"""<settings>
  <servers><server><id>nexus</id><username>ci</username>
    <password>{TOKEN}</password></server></servers>
</settings>
"""
SERVICE_ACCOUNT = json.dumps(
    {
        "type": "service_account",
        "project_id": "functions-prod",
        "private_key_id": "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c",
        "private_key": "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n"
        "BKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj\n-----END PRIVATE KEY-----\n",
        "token_uri": "https://oauth2.googleapis.example/token",
    },
    indent=2,
)
PEM = (
    "-----BEGIN PRIVATE KEY-----\n"
    + textwrap.fill(base64.b64encode(hashlib.shake_256(b"key").digest(150)).decode(), 64)
    + "\n-----END PRIVATE KEY-----\n"
)


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def urlsafe_b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode()


def redacted(text: str, *values: str | bytes) -> str:
    encoded = (value.encode() if isinstance(value, str) else value for value in values)
    return Redactor(encoded).text(text)


def streamed(lines: list[str], *values: str) -> list[str]:
    """Return the lines of a step that come one by one."""
    stream = Redactor(value.encode() for value in values).lines()
    return [line for one in lines for line in stream.feed([one])] + stream.finish()


def chunks(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    return [data[start:end] for start, end in pairwise(places)]


def build_log(redactor: Redactor, pieces: list[bytes]) -> list[str]:
    """Return the log of a build whose one step writes *pieces*, without numbers and times."""
    vertex = pb.Vertex(digest="sha256:a", name="RUN it")
    vertex.started.seconds = 100
    progress = Printer(redactor)
    progress.update(pb.StatusResponse(vertexes=[vertex]))
    lines = [
        line
        for piece in pieces
        for line in progress.update(
            pb.StatusResponse(logs=[pb.VertexLog(vertex="sha256:a", stream=1, msg=piece)])
        )
    ]
    return [line.split(" ", 2)[2] for line in lines + progress.finish()]


# --- the value itself


@pytest.mark.parametrize(
    "value", [TOKEN, f"{TOKEN}\n", f"  {TOKEN}\r\n", "a.*(b|c)[d]+$", "päss wörd"]
)
def test_a_value_is_taken_out_wherever_it_stands(value: str) -> None:
    core = value.strip()

    assert redacted(f"x{core}y: {core}", value) == f"x{MARK}y: {MARK}"


def test_several_values_are_taken_out_longest_first() -> None:
    assert redacted("of abcdefgh and abcd", "abcd", "abcdefgh") == f"of {MARK} and {MARK}"


@pytest.mark.parametrize("value", ["", " ", "\n", "\t\r\n "])
def test_an_empty_value_takes_nothing_out(value: str) -> None:
    assert not Redactor([value.encode()])
    assert redacted("a b\n\tc", value) == "a b\n\tc"


def test_without_values_lines_pass_as_they_are() -> None:
    assert streamed(["a", "", "b"]) == ["a", "", "b"]
    assert redacted("a\nb") == "a\nb"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a banana and a pin", f"{MARK} banana and {MARK} pin"),
        ("YQ== or YQo= or %61", f"{MARK} or {MARK} or {MARK}"),
        ("pa=a", f"pa={MARK}"),
        ("2024", "2024"),
    ],
)
def test_a_value_of_three_characters_or_fewer_is_taken_out_where_it_stands_alone(
    text: str, shown: str
) -> None:
    assert redacted(text, "a") == shown


def test_a_value_of_dashes_leaves_rules_and_indents_alone() -> None:
    assert redacted("--------\n    x", "----") == "--------\n    x"
    assert redacted("it is ----.", "----") == f"it is {MARK}."


def test_the_end_of_a_value_in_colour_is_found_between_the_colours() -> None:
    text = f"\x1b[1mx\x1b[0m {TOKEN[:9]}\x1b[01;31m{TOKEN[9:20]}\x1b[m\x08{TOKEN[20:]}"

    assert redacted(text, TOKEN) == f"\x1b[1mx\x1b[0m {MARK}"


def test_a_value_in_an_escape_sequence_is_found() -> None:
    assert redacted(f"\x1b]0;{TOKEN}\x07ok", TOKEN) == f"\x1b]0;{MARK}\x07ok"


@pytest.mark.parametrize("value", [b"\xff\xfekey\x80material\xc3", b"key\xe4\xf6\xfcmaterial"])
def test_a_value_that_is_no_utf_8_is_found_as_the_log_decodes_it(value: bytes) -> None:
    for text in (value.decode(errors="replace"), urllib.parse.quote(value), repr(value)):
        shown = redacted(f"is {text}.", value)

        assert "key" not in shown
        assert "material" not in shown


# --- what programs make of it


@pytest.mark.parametrize(
    "value", [TOKEN, "päss/wörd+?", "s3cr3", "two words", b"\x00\xff\x10bytes\xe9"]
)
@pytest.mark.parametrize("before", ["", "u", "us"])
@pytest.mark.parametrize("encode", [b64, urlsafe_b64])
def test_base64_is_found_at_every_alignment(
    value: str | bytes, before: str, encode: Callable[[bytes], str]
) -> None:
    data = value.encode() if isinstance(value, str) else value
    for after in (b"", b"\n", b":x", b"xyz"):
        text = encode(before.encode() + data + after)
        for written in (text, text.rstrip("=")):
            shown = redacted(f"<{written}>", data)

            assert MARK in shown
            # What is left holds bits of the neighbours, and none of the value.
            left = "".join(shown.split(MARK)).strip("<>=")
            assert len(left) <= 5 + 2 * len(before)


@pytest.mark.parametrize(
    "text",
    [
        "%71%37Zt3LmX0vKc9RbW2nHs%5FA1b2C3d4E5f6G7h8",
        "%71%37Zt3LmX0vKc9RbW2nHs%5fA1b2C3d4E5f6G7h8",
        TOKEN.encode().hex(),
        TOKEN.encode().hex().upper(),
        r"\x71\x37Zt3LmX0vKc9RbW2nHs_A1b2C3d4E5f6G7h8",
        r"\161\067Zt3LmX0vKc9RbW2nHs\u005fA1b2C3d4E5f6G7h8",
        TOKEN[3:22],
    ],
)
def test_a_token_is_found_as_programs_write_it(text: str) -> None:
    assert redacted(f"is {text}.", TOKEN) in {f"is {MARK}.", f"is %71%37Zt3{MARK}."}


AWKWARD = "ä \"quoted\" 'it's' <a+b/c=d>&\\e\t€😀 100%"


@pytest.mark.parametrize(
    "text",
    [
        AWKWARD,
        urllib.parse.quote(AWKWARD),
        urllib.parse.quote(AWKWARD, safe=""),
        urllib.parse.quote_plus(AWKWARD),
        urllib.parse.quote(AWKWARD, safe="").lower(),
        json.dumps(AWKWARD)[1:-1],
        json.dumps(AWKWARD, ensure_ascii=False)[1:-1],
        json.dumps(json.dumps(AWKWARD))[3:-3],
        repr(AWKWARD)[1:-1],
        ascii(AWKWARD)[1:-1],
        repr(AWKWARD.encode())[2:-1],
        html.escape(AWKWARD),
        html.escape(AWKWARD, quote=False),
        re.sub("[^ -~]|[&<>'\"]", lambda one: f"&#{ord(one[0])};", AWKWARD),
        re.sub("[^ -~]|[&<>'\"]", lambda one: f"&#x{ord(one[0]):X};", AWKWARD),
        json.dumps(html.escape(AWKWARD))[1:-1],
        AWKWARD.replace("'", "'\\''"),
        AWKWARD.replace("'", "'\"'\"'"),
        json.dumps(AWKWARD)[1:-1].replace("/", "\\/"),
        urllib.parse.quote(base64.b64encode(AWKWARD.encode()), safe=""),
        b64(AWKWARD.encode()).replace("=", "&#x3D;"),
    ],
)
def test_an_awkward_value_is_found_in_every_dialect(text: str) -> None:
    assert redacted(f"is <{text}>.", AWKWARD) == f"is <{MARK}>."


# --- values of several lines


def test_each_line_of_a_value_is_found_alone() -> None:
    value = "correct horse\n}\nbattery staple\n"

    assert streamed(["} battery staple", "a correct horse here"], value) == [
        f"}} {MARK}",
        f"a {MARK} here",
    ]


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_a_value_of_short_lines_is_found_across_lines(ending: str) -> None:
    value = ending.join(["user", "pw1", "x", ""])

    assert streamed(["user", "pw1", "x", "end"], value) == [MARK, MARK, MARK, "end"]
    assert streamed(["  user", "  pw1", "  x", "end"], value)[1:] == [MARK, MARK, "end"]


def test_a_line_is_held_back_only_until_it_is_known() -> None:
    stream = Redactor([b"user\npw1\n"]).lines()

    assert stream.feed(["a", "user"]) == ["a"]
    assert stream.feed(["b"]) == ["user", "b"]
    assert stream.feed(["user"]) == []
    assert stream.finish() == ["user"]


def test_a_value_that_began_in_a_line_already_out_is_found_from_the_next_on() -> None:
    shown = streamed(["x ab", "c", "defghijk", "l", "z"], "abcdefghijkl")

    assert shown == ["x ab", MARK, MARK, MARK, "z"]


def test_empty_lines_are_not_held_back_for_ever() -> None:
    stream = Redactor([b"user\npw1\n"]).lines()

    assert len([line for _ in range(1000) for line in stream.feed([""])]) == 1000
    shown = stream.feed(["user"]) + [line for _ in range(1000) for line in stream.feed([""])]
    assert len(shown) > 800


@pytest.mark.parametrize("width", [1, 2, 3, 5, 15, 16, 40, 60, 76])
@pytest.mark.parametrize("value", [TOKEN, PEM, "short pass", AWKWARD], ids=range(4))
def test_what_is_wrapped_is_found_at_every_width(width: int, value: str) -> None:
    for text in (
        base64.b64encode(value.encode()).decode(),
        value.encode().hex(),
        "".join(value.split("\n")),
    ):
        lines = [text[at : at + width] for at in range(0, len(text), width)]
        shown = streamed(["before:", *lines, "after."], value)

        assert shown[0] == "before:"
        assert shown[-1] == "after."
        left = "".join(shown[1:-1]).replace(MARK, "")
        assert len(left) <= 4, left  # of base64 the padding and bits of a byte


def test_a_key_is_found_whatever_is_put_before_its_lines() -> None:
    shown = streamed([f"web_1  | {line}" for line in PEM.splitlines()], PEM)

    assert shown == [f"web_1  | {MARK}"] * len(PEM.splitlines())


# --- values that are files


@pytest.mark.parametrize("value", [NPMRC, PIP_CONF, SETTINGS_XML], ids=["npmrc", "pip", "maven"])
@pytest.mark.parametrize("text", ["{}", "Bearer {}", "https://u:{}@pypi.corp.example/simple"])
def test_the_token_in_a_file_is_found_alone(value: str, text: str) -> None:
    assert redacted(text.format(TOKEN), value) == text.format(MARK)


def test_passwords_in_a_file_are_found_alone_and_decoded() -> None:
    assert redacted("got aHVudGVyMg== or hunter2", NPMRC) == f"got {MARK} or {MARK}"
    assert redacted("builder with hunter2", NETRC) == f"builder with {MARK}"
    login = base64.b64encode(b"bob:s3cr3t!").decode()
    docker = json.dumps({"auths": {"registry.example": {"auth": login}}})
    assert redacted("bob uses s3cr3t!", docker) == f"bob uses {MARK}"
    basic = base64.b64encode(b"builder:hunter2").decode()
    assert "hunter2" not in redacted(base64.b64decode(basic).decode(), NETRC)
    assert MARK in redacted(f"Authorization: Basic {basic}", NETRC)


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        (r'{"password":"gr\u00fcn9Tisch7Baum"}', "grün9Tisch7Baum"),
        (r'{"user":"ci","password":"k9\"Tq\\zL2mX4"}', r"k9\"Tq\zL2mX4".replace('\\"', '"')),
        (r'{"password": "k9\u0026TqzL2mX4rr"}', "k9&TqzL2mX4rr"),  # as Go writes it
        (r'{"auth":"Ym9iOmg5JlRxekwyb\u003d"}', "Ym9iOmg5JlRxekwyb="),  # as Gson does
        ("<password>k9&amp;TqzL2mX4rr</password>", "k9&TqzL2mX4rr"),
        ("<s:password>\n  it's k9&#38;Tqz\n</s:password>", "it's k9&Tqz"),
        ('<add key="ClearTextPassword" value="k9&amp;TqzL2" />', "k9&TqzL2"),  # NuGet.config
        ('<login user="ci" password="k9Tqz\\" />', "k9Tqz\\"),  # no escape in XML
        ("password: 'k9''TqzL2mX4rr'", "k9'TqzL2mX4rr"),
        ("""config: '{"password": "k9\\"TqzL2"}'""", 'k9"TqzL2'),
        (r'{"url":"https://ci:k9%26Tq\u0026zL2@npm.corp.example"}', "k9&Tq&zL2"),
    ],
)
def test_a_password_is_found_as_the_reader_of_its_file_prints_it(value: str, meant: str) -> None:
    assert redacted(f"login ci {meant}.", value) == f"login ci {MARK}."
    for shift in range(3):
        assert MARK in redacted(b64(bytes(shift) + meant.encode()), value)
    assert redacted(f"{meant.encode().hex()}.", value) == f"{MARK}."
    if not meant.isascii():
        assert redacted(f"{ascii(meant)[1:-1]}.", value) == f"{MARK}."


def test_lines_of_a_password_in_json_are_found_alone() -> None:
    value = json.dumps({"password": "correct horse\nbattery staple"})

    assert redacted("a correct horse", value) == f"a {MARK}"
    assert redacted("battery staple?", value) == f"{MARK}?"


def test_the_key_in_a_service_account_is_found_on_lines_of_its_own() -> None:
    key = json.loads(SERVICE_ACCOUNT)["private_key"]

    shown = streamed(key.splitlines(), SERVICE_ACCOUNT)

    assert shown[1:3] == [MARK, MARK]


@pytest.mark.parametrize("value", [NPMRC, PIP_CONF, NETRC, SETTINGS_XML, SERVICE_ACCOUNT])
def test_hosts_and_keywords_of_a_file_stay_readable(value: str) -> None:
    lines = [
        *BUILD_OUTPUT,
        "registry npm.corp.example asked for email build@corp.example",
        "GET https://registry.npmjs.example/express",
        "Looking in indexes: https://pypi.corp.example/simple, https://pypi.example/simple",
        "server nexus: username ci, builder at git.corp.example, password wrong",
        "project_id functions-prod, type service_account, https://oauth2.googleapis.example/token",
    ]

    assert streamed(lines, value) == lines


def test_a_redactor_that_let_go_shows_nothing() -> None:
    redactor = Redactor([TOKEN.encode()])

    redactor.let_go()

    assert redactor
    assert redactor.text(f"{TOKEN} and more") == MARK
    lines = redactor.lines()
    assert lines.feed(["one", "two"]) + lines.finish() == [MARK, MARK]


# --- size


@pytest.mark.parametrize(
    "value",
    [
        hashlib.shake_256(b"keystore").digest(500 * 1024),
        bytes(500 * 1024),
        b"ab" * (250 * 1024),
        b"\n".join(b"https://registry.example/%d" % number for number in range(15_000)),
    ],
    ids=["random", "zeros", "repeated", "lines"],
)
def test_a_large_value_is_found_in_large_text(value: bytes) -> None:
    redactor = Redactor([value])

    for text in (base64.encodebytes(value).decode(), value.hex(), base64.b64encode(value).decode()):
        assert len(redactor.text(f"is <{text}>")) < 40
    assert redactor.text("x" * 1_000_000) == "x" * 1_000_000
    lines = redactor.lines()
    assert lines.feed(BUILD_OUTPUT) + lines.finish() == BUILD_OUTPUT


@pytest.mark.parametrize(
    "text",
    [
        TOKEN,
        b64(b"x" + TOKEN.encode()),
        "".join(f"%{byte:02x}" for byte in TOKEN.encode()),
        "".join(f"\x1b[38;5;196m{character}\x1b[m" for character in TOKEN),
        json.dumps("".join(f"\\u{ord(character):04x}" for character in TOKEN))[1:-1],
    ],
    ids=["plain", "base64", "percent", "colours", "JSON in JSON"],
)
def test_what_stands_on_the_border_of_two_windows_is_found(text: str) -> None:
    redactor = Redactor([TOKEN.encode()])
    window = _WINDOW

    for at in range(window - len(text) - 9, window + 9, max(len(text) // 9, 1)):
        shown = redactor.text("\u00b7" * at + text + "\u00b7" * window)

        assert MARK in shown
        assert len(plain(shown.replace("\u00b7", ""))) <= len(MARK) + 2  # bits of neighbours


def test_a_value_of_punctuation_is_found_across_windows() -> None:
    value = "".join(a + b for a in "!#$*+,:;=?" for b in "()[]{}|~^." if a != b) * 30
    redactor = Redactor([value.encode()])

    assert redactor.text(" " * 50_000 + value + " " * 500_000).strip() == MARK


def test_memory_is_a_fraction_of_a_long_line() -> None:
    redactor = Redactor([b"a" * size for size in range(4, 64)])
    text = "a%61" * (1 << 18)
    tracemalloc.start()
    try:
        redactor.secret_in(text)
        _now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < len(text) + (10 << 20)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("100%41 of it&amp;", "100%41 of it&amp;amp;"),  # as XML has it
        ("it's%20k9&", "it'\\''s%20k9&"),  # as a shell has it
        ("a%41\\x41&lt;ö", urllib.parse.quote("a%41\\x41&lt;ö")),
        ("a%41\\x41&lt;ö", json.dumps("a%41\\x41&lt;ö")[1:-1]),
        ("a%41\\x41&lt;ö", html.escape("a%41\\x41&lt;ö")),
        ("a%41\\x41&lt;ö", json.dumps(html.escape("a%41\\x41&lt;ö"))[1:-1]),
        ("grün9€Tisch", repr("grün9€Tisch".encode())[2:-1]),
        ("grün9Tisch", "gr%FCn9Tisch"),
    ],
)
def test_what_looks_encoded_in_a_value_is_found_in_what_is_encoded(value: str, text: str) -> None:
    assert redacted(f"<{text}>", value) == f"<{MARK}>"


@pytest.mark.parametrize(
    "filler", ["%", "\\", "%41", r"\u0041", "&", "&#", "&#38;", " ", "\x1b]", "\x1b[", "\n ", "'"]
)
def test_text_that_only_looks_encoded_takes_linear_time(filler: str) -> None:
    text = filler * 200_000

    assert redacted(text, TOKEN, "päss") == text


@pytest.mark.parametrize(
    "filler",
    [
        'a="',
        "a='",
        "a=''",
        "a='''",
        'a="\\',
        "a>",
        "<a>b",
        "a:",
        "://a:",
        "password ",
        "Aa1",
        "a/",
        '\\"',
        "Zz.",
        "=",
        "-eyJ",
        "&",
        "&#38;",
        'key="a" ',
    ],
)
def test_a_value_that_only_looks_structured_takes_linear_time(filler: str) -> None:
    value = filler * 100_000 + "!"

    assert redacted(f"<{value}>", value) == f"<{MARK}>"


@pytest.mark.parametrize(
    "filler", ["-eyJ", "-eyJaaaaaaaa", "eyJaaaaaaaa.", "-SG.", "\\", "&", "a>"]
)
def test_a_password_that_only_looks_structured_takes_linear_time(filler: str) -> None:
    password = filler * 100_000

    assert redacted(f"<{password}>", f"password={password}") == f"<{MARK}>"


# --- for all values and all output

WORDS = st.text(string.ascii_lowercase, min_size=1, max_size=8)
LINES = st.lists(
    st.one_of(
        st.sampled_from(BUILD_OUTPUT), st.lists(WORDS, max_size=6).map(" ".join), st.just("")
    ),
    max_size=6,
)
TOKENS = st.text(string.ascii_letters + string.digits + "-_", min_size=8, max_size=60)
VALUES = st.one_of(
    TOKENS.map(str.encode),
    st.text(min_size=4, max_size=40).map(lambda text: text.encode(errors="replace")),
    st.text(string.punctuation + "ab \n", min_size=4, max_size=30).map(str.encode),
    st.lists(st.text(string.printable, max_size=30), min_size=2, max_size=5).map(
        lambda lines: "\n".join(lines).encode()
    ),
    st.binary(min_size=5, max_size=80),
)
CUTS = st.lists(st.integers(0, 10_000), max_size=10)
UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.filter_too_much])


def squeezed(text: str) -> str:
    """Return what is left to read of *text*, however it is wrapped and coloured."""
    return re.sub(r"\s+", "", plain(text))


@UNHURRIED
@given(value=VALUES, before=LINES, after=LINES, cuts=CUTS, ending=st.sampled_from(["\n", "\r\n"]))
def test_no_value_gets_through(
    value: bytes, before: list[str], after: list[str], cuts: list[int], ending: str
) -> None:
    core = squeezed(value.decode(errors="replace").strip("\ufffd \t\r\n")).strip("\ufffd")
    assume(len(core) >= 4)
    assume(re.search(r"[^\W_]", core))
    around = squeezed("".join((*before, *after)))
    assume(core not in around)
    text = ending.join(before).encode() + b" " + value + b" " + ending.join(after).encode()

    shown = build_log(Redactor([value]), chunks(text, cuts))

    assert core not in squeezed("\n".join(shown))


@UNHURRIED
@given(
    value=VALUES,
    encode=st.sampled_from([b64, urlsafe_b64, bytes.hex]),
    head=st.binary(max_size=4),
    tail=st.binary(max_size=4),
    width=st.integers(1, 100),
    before=LINES,
    after=LINES,
    cuts=CUTS,
)
def test_nothing_encoded_gets_through_at_any_alignment_and_width(
    *,
    value: bytes,
    encode: Callable[[bytes], str],
    head: bytes,
    tail: bytes,
    width: int,
    before: list[str],
    after: list[str],
    cuts: list[int],
) -> None:
    core = value.strip()
    assume(len(core) >= 5)
    text = encode(head + value + tail)
    lines = [*before, *(text[at : at + width] for at in range(0, len(text), width)), *after]

    shown = build_log(Redactor([value]), chunks("\n".join(lines).encode(), cuts))

    # The characters that hold bits of the value alone. Six of them say next to nothing.
    bits = 4 if encode is bytes.hex else 6
    start = len(head) + value.index(core)
    secret = text[-(-8 * start // bits) : 8 * (start + len(core)) // bits]
    readable = "".join(shown).replace(MARK, " ")
    others = "".join((*before, *after)) + " " + text.replace(secret, " ")
    for at in range(len(secret) - 5):
        assert secret[at : at + 6] not in readable or secret[at : at + 6] in others


@UNHURRIED
@given(
    value=st.text(min_size=4, max_size=40),
    quote=st.sampled_from(
        [
            urllib.parse.quote,
            urllib.parse.quote_plus,
            lambda text: urllib.parse.quote(text, safe=""),
            lambda text: re.sub("%..", lambda hex_: hex_[0].lower(), urllib.parse.quote(text)),
            lambda text: "".join(f"%{byte:02x}" for byte in text.encode()),
            json.dumps,
            lambda text: json.dumps(json.dumps(text)),
            html.escape,
            repr,
            ascii,
        ]
    ),
    around=WORDS,
    cuts=CUTS,
)
def test_nothing_escaped_gets_through(
    value: str, quote: Callable[[str], str], around: str, cuts: list[int]
) -> None:
    assume(value.isprintable())
    core = value.strip()
    assume(len(core) >= 4)
    assume(re.search(r"[^\W_]", core))
    written = quote(core)
    assume(written not in around)

    (shown,) = build_log(Redactor([value.encode()]), chunks(f"{around}={written};".encode(), cuts))

    assert MARK in shown
    assert len(shown.split(MARK)[0].removeprefix(f"{around}=")) <= 4  # quotation marks
    assert len(shown.rsplit(MARK, 1)[1]) <= 5


def yaml(password: str, style: str) -> str:
    document = {"password": password}
    return str(pyyaml.safe_dump(document, default_style=style, width=10_000, allow_unicode=True))


@UNHURRIED
@given(
    password=st.text(
        st.one_of(st.sampled_from("\"'&<>\\/;%#= k9"), st.characters()), min_size=6, max_size=40
    ),
    write=st.sampled_from(
        [
            lambda text: json.dumps({"password": text}),
            lambda text: json.dumps({"user": "ci", "password": text}, ensure_ascii=False, indent=1),
            lambda text: re.sub(
                "[&<>]", lambda one: rf"\u{ord(one[0]):04x}", json.dumps({"password": text})
            ),
            lambda text: f"<password>{html.escape(text, quote=False)}</password>",
            lambda text: f'<login user="ci" password="{html.escape(text)}"/>',
            lambda text: f'<add key="ClearTextPassword" value="{html.escape(text)}" />',
            lambda text: yaml(text, "'"),
            lambda text: yaml(text, '"'),
        ]
    ),
    encode=st.sampled_from([str, json.dumps, html.escape, lambda text: text.encode().hex()]),
    cuts=CUTS,
)
def test_no_password_in_a_file_gets_through_as_its_reader_prints_it(
    password: str, write: Callable[[str], str], encode: Callable[[str], str], cuts: list[int]
) -> None:
    assume(password.isprintable())
    assume(len(password.strip()) >= 6)
    assume(re.search(r"[^\W_]", password))
    assume(looks_secret("password", password) and "://" not in password)

    (shown,) = build_log(
        Redactor([write(password).encode()]), chunks(f"with {encode(password)};".encode(), cuts)
    )

    assert MARK in shown
    assert re.sub(r'[\s"]', "", shown.replace(MARK, "")) == "with;"


@UNHURRIED
@given(values=st.lists(TOKENS, max_size=4), lines=LINES, cuts=CUTS)
def test_output_without_values_passes_unchanged(
    values: list[str], lines: list[str], cuts: list[int]
) -> None:
    assume(not any(value[:6] in line for value in values for line in lines))
    redactor = Redactor(value.encode() for value in values)
    text = "\n".join([*lines, ""]).encode()

    assert build_log(redactor, chunks(text, cuts)) == lines


@st.composite
def values_in_pieces(draw: st.DrawFn) -> tuple[bytes, list[str]]:
    """Draw a value, and lines with pieces of it, in order and not."""
    value = draw(VALUES)
    text = re.sub(r"[\r\n]", "", value.decode(errors="replace"))
    pieces = [piece.decode(errors="replace") for piece in chunks(text.encode(), draw(CUTS))]
    lines = st.tuples(st.sampled_from(["", "", "x ", "\t"]), st.sampled_from([*pieces, "", "y"]))
    others = [first + rest for first, rest in draw(st.lists(lines, max_size=8))]
    return value, draw(st.sampled_from([pieces + others, others + pieces, others]))


@UNHURRIED
@given(values_in_pieces())
def test_no_line_is_lost_and_none_is_moved(case: tuple[bytes, list[str]]) -> None:
    value, lines = case
    stream = Redactor([value]).lines()

    shown = [line for one in lines for line in stream.feed([one])] + stream.finish()

    assert len(shown) == len(lines)
    for line, original in zip(shown, lines, strict=True):
        first, *rest = line.split(MARK)
        assert original.startswith(first)
        assert original.endswith(rest[-1] if rest else first)


@given(st.text(st.sampled_from("ab\x1b[]m;0\\\x07\x08\x9b\t é"), max_size=30))
@example("\x1b]0;title\x07text")
def test_a_view_shows_what_plain_text_does(line: str) -> None:
    assert as_shown(View(line)).text == plain(line)


def test_a_line_that_was_held_back_is_not_searched_once_more_at_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    searched: list[str] = []

    def counted(self: Index, text: str, effort: Any, find: Any = Index.find) -> Any:
        searched.append(text)
        return find(self, text, effort)

    monkeypatch.setattr(Index, "find", counted)
    lines = Redactor([b"correct horse battery staple"]).lines()

    assert lines.feed(["is correct horse battery staple or", "correct hor"]) == ["is [redacted] or"]
    times = len(searched)
    assert lines.finish() == ["correct hor"]
    assert lines.finish() == []
    assert len(searched) == times
