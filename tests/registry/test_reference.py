from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from function.errors import ConfigError
from function.registry.reference import Reference

SHA256 = "sha256:" + "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("text", "domain", "path", "tag", "digest"),
    [
        ("fn", "docker.io", "library/fn", "", ""),
        ("fn:1.0", "docker.io", "library/fn", "1.0", ""),
        ("alexellis2/fn:0.1.0", "docker.io", "alexellis2/fn", "0.1.0", ""),
        ("docker.io/fn", "docker.io", "library/fn", "", ""),
        ("index.docker.io/a/fn", "docker.io", "a/fn", "", ""),
        ("localhost/fn", "localhost", "fn", "", ""),
        ("localhost:5000", "docker.io", "library/localhost", "5000", ""),
        ("127.0.0.1:5055/a/b/c:1", "127.0.0.1:5055", "a/b/c", "1", ""),
        ("registry:5000/fn", "registry:5000", "fn", "", ""),
        ("[2001:db8::1]:5000/fn:1", "[2001:db8::1]:5000", "fn", "1", ""),
        ("GHCR.io/team/fn:Latest_1", "GHCR.io", "team/fn", "Latest_1", ""),
        ("xn--n3h.com/a__b.c-d---e/0", "xn--n3h.com", "a__b.c-d---e/0", "", ""),
        (f"r.io/fn@{SHA256}", "r.io", "fn", "", SHA256),
        (f"r.io/fn:1@{SHA256}", "r.io", "fn", "1", SHA256),
        ("a." * 126 + "com:65535/a", "a." * 126 + "com:65535", "a", "", ""),
        ("r.io/" + "a" * 255 + ":" + "t" * 128, "r.io", "a" * 255, "t" * 128, ""),
    ],
)
def test_parses_as_distribution_does(
    text: str, domain: str, path: str, tag: str, digest: str
) -> None:
    reference = Reference.parse(text)

    assert reference == Reference(domain, path, tag, digest)
    assert reference.text == text


@pytest.mark.parametrize(
    ("text", "canonical"),
    [("fn", "docker.io/library/fn"), (f"r:1/a:b@{SHA256}", f"r:1/a:b@{SHA256}")],
)
def test_str_is_the_canonical_form(text: str, canonical: str) -> None:
    assert str(Reference.parse(text)) == canonical


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", "is empty", id="empty"),
        pytest.param("r.io/a b", 'has the character " "', id="a space"),
        pytest.param(" r.io/a", 'has the character " "', id="padded"),
        pytest.param("r.io/a\n", r'has the character "\\n"', id="a newline"),
        pytest.param("r.io/$(id)", r'has the character "\$"', id="a command"),
        pytest.param("r.io/a;reboot", 'has the character ";"', id="a second command"),
        pytest.param("r.io/a,push=true", 'has the character ","', id="an option"),
        pytest.param("r.io/ä", 'has the character "ä"', id="not ASCII"),
        pytest.param("https://r.io/a:1", 'use "r.io/a:1", without https://', id="a scheme"),
        pytest.param("s" * 9000 + "://x", "has a scheme", id="a scheme far too long"),
        pytest.param("a" * 300, "has 308 characters; 255 are the most", id="300 characters"),
        pytest.param("r.io/" + "a" * 256, "has 256 characters", id="a character too long"),
        pytest.param("r.io/", "names no repository", id="no name"),
        pytest.param("/a", "names no repository", id="no domain"),
        pytest.param(":1", "names no repository", id="a tag alone"),
        pytest.param("r.io/:1", "names no repository", id="a domain and a tag"),
        pytest.param("@" + SHA256, "names no repository", id="a digest alone"),
        pytest.param("r.io/a//b", 'has the part ""', id="an empty part"),
        pytest.param("r.io/a/", 'has the part ""', id="a final slash"),
        pytest.param("r.io/../a", r'has the part "\.\."', id="dots"),
        pytest.param("r.io/-a", 'has the part "-a"', id="a part that begins with a dash"),
        pytest.param("r.io/a_", 'has the part "a_"', id="a part that ends with a separator"),
        pytest.param("r.io/a..b", r'has the part "a\.\.b"', id="two dots"),
        pytest.param("r.io/a___b", 'has the part "a___b"', id="three underscores"),
        pytest.param("-r.io/a", 'begins with "-r.io"', id="a domain that begins with a dash"),
        pytest.param("r.io:port/a", 'begins with "r.io:port"', id="a port that is no number"),
        pytest.param("r.io:65536/a", 'begins with "r.io:65536"', id="a port too high"),
        pytest.param("r.io:" + "1" * 5000 + "/a", "begins with", id="a port far too high"),
        pytest.param(
            "a." * 127 + "io/a", "host in .* has 256 characters; 255", id="a host too long"
        ),
        pytest.param("a." * 35_000 + "io/a", "255 are the most", id="a host far too long"),
        pytest.param("[" + "1:" * 200 + "]:1/a", "has 402 characters", id="an address too long"),
        pytest.param("a_b.io/a", 'begins with "a_b.io"', id="an underscore in a domain"),
        pytest.param("r.io/a:", "tag of the image name", id="an empty tag"),
        pytest.param("r.io/a:-1", "tag of the image name", id="a tag that begins with a dash"),
        pytest.param("r.io/a:1:2", "tag of the image name", id="two tags"),
        pytest.param("r.io/a:" + "t" * 129, "1 to 128 letters", id="a tag too long"),
        pytest.param("r.io/a@sha256:12", "digest of the image name", id="a short digest"),
        pytest.param("r.io/a@" + SHA256.upper(), "digest", id="an upper-case digest"),
        pytest.param("r.io/a@md5:" + "0" * 32, "digest", id="another algorithm"),
        pytest.param("0123456789abcdef" * 4, "64 hexadecimal digits", id="an image id"),
        pytest.param("a" * 100_000, "are the most", id="far too long"),
    ],
)
def test_says_what_is_wrong_with_a_name(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        Reference.parse(text)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("text", "corrected"),
    [
        ("MyFunction", "myfunction"),
        ("Team/Fn:V1", "team/fn:V1"),
        ("B.io/B:B", "B.io/b:B"),
        (f"index.docker.io/A@{SHA256}", f"index.docker.io/a@{SHA256}"),
    ],
)
def test_suggests_lower_case_for_the_path_and_only_that(text: str, corrected: str) -> None:
    with pytest.raises(ConfigError, match=f'has upper-case letters; use "{corrected}"'):
        Reference.parse(text)
    assert Reference.parse(corrected)


@given(
    st.one_of(
        st.text(),
        st.text("abAB01._-/:@[]", max_size=30),
        st.from_regex(r"([a-z]{1,3}[.:]?){1,3}(/[a-z0-9]{1,3}){1,3}(:[a-z0-9]+)?", fullmatch=True),
    )
)
def test_a_name_is_either_refused_or_has_a_stable_canonical_form(text: str) -> None:
    with suppress(ConfigError):
        reference = Reference.parse(text)

        assert Reference.parse(str(reference)) == reference
