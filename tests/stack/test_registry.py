"""The settings that docker-registry is given."""

import ctypes
from pathlib import Path

from stack.daemons import registry
from stack.daemons.certificates import Pair


def test_an_open_registry_asks_nobody_for_a_password() -> None:
    told = registry.configuration("127.0.0.1:1", Path("data"))

    assert "auth" not in told
    assert told["http"] == {"addr": "127.0.0.1:1"}


def test_a_registry_with_a_certificate_speaks_tls() -> None:
    pair = Pair(certificate=Path("/x/server.pem"), key=Path("/x/server.key"))
    told = registry.configuration("127.0.0.1:1", Path("data"), tls=pair)

    assert told["http"] == {
        "addr": "127.0.0.1:1",
        "tls": {"certificate": "/x/server.pem", "key": "/x/server.key"},
    }


def test_a_hash_verifies_its_own_password_and_no_other() -> None:
    libcrypt = ctypes.CDLL("libcrypt.so.1")
    libcrypt.crypt.restype = ctypes.c_char_p

    hashed = registry.bcrypt("open sesame")

    assert hashed.startswith("$2b$05$")
    assert libcrypt.crypt(b"open sesame", hashed.encode()) == hashed.encode()
    assert libcrypt.crypt(b"open sesamE", hashed.encode()) != hashed.encode()
