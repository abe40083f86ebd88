from __future__ import annotations

import pytest

from function.errors import ConfigError
from function.request.options.documents import Document


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
        Document("config", document).values()


def test_takes_a_byte_order_mark() -> None:
    assert Document("config", b'\xef\xbb\xbf{"image": "x"}').values() == {"image": "x"}


def test_a_fault_is_told_with_the_documents_name() -> None:
    with pytest.raises(ConfigError, match=r"context/builder-fn\.json is not valid JSON"):
        Document("context/builder-fn.json", b"{").values()
