"""What docker-registry is told."""

import ctypes
from pathlib import Path

from stack import registry


def test_an_open_registry_asks_nobody_for_a_password() -> None:
    assert "auth" not in registry.configuration("127.0.0.1:1", Path("data"), None)


def test_a_private_registry_reads_its_passwords_from_the_file() -> None:
    told = registry.configuration("127.0.0.1:1", Path("data"), Path("/x/htpasswd"))

    assert told["auth"] == {"htpasswd": {"realm": "builder-fn", "path": "/x/htpasswd"}}


def test_a_hash_verifies_its_own_password_and_no_other() -> None:
    libcrypt = ctypes.CDLL("libcrypt.so.1")
    libcrypt.crypt.restype = ctypes.c_char_p

    hashed = registry.bcrypt("open sesame")

    assert hashed.startswith("$2b$05$")
    assert libcrypt.crypt(b"open sesame", hashed.encode()) == hashed.encode()
    assert libcrypt.crypt(b"open sesamE", hashed.encode()) != hashed.encode()
