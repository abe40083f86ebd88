"""The function as scripts/up lays it out and serves it."""

import hashlib
import hmac
import shlex
from pathlib import Path

from stack.daemons import function
from stack.install import fingerprint
from stack.paths import Paths
from stack.running import sample
from stack.running.recorded import Running


def test_is_laid_out_as_under_home_app(tmp_path: Path) -> None:
    function.lay_out(Paths(), tmp_path / "app")

    assert (tmp_path / "app" / "index.py").is_file()
    assert (tmp_path / "app" / "function" / "handler.py").is_file()
    assert (tmp_path / "app" / "function" / "buildkit").is_dir()


def test_nothing_of_an_earlier_layout_is_left(tmp_path: Path) -> None:
    home = tmp_path / "app"
    home.mkdir()
    (home / "stale.py").touch()

    function.lay_out(Paths(), home)

    assert not (home / "stale.py").exists()


def test_behind_a_watchdog_the_function_has_a_port_of_its_own() -> None:
    told = function.behind_watchdog(["/venv/bin/python", "index.py"], 5001)

    assert told["fprocess"] == "env --block-signal=TERM /venv/bin/python index.py"
    assert told["suppress_lock"] == "true"
    assert told["upstream_url"] == "http://127.0.0.1:5001"
    assert "port" not in told


def test_the_curl_line_signs_the_very_bytes_it_sends(tmp_path: Path) -> None:
    tar, secret = tmp_path / "a request.tar", tmp_path / "payload-secret"
    tar.write_bytes(b"tar")
    secret.write_text("secret\n")
    running = Running(
        builder_url="http://127.0.0.1:1",
        buildkit_hosts=("",),
        registry="",
        payload_secret_file=str(secret),
    )

    words = shlex.split(sample.curl(running, tar))

    signature = hmac.new(b"secret", b"tar", hashlib.sha256).hexdigest()
    assert f"@{tar}" in words
    assert f"X-Build-Signature: sha256={signature}" in words
    assert words[-1] == "http://127.0.0.1:1/build"


def test_a_fingerprint_sees_content_names_and_new_files(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    seen = {fingerprint.of_folder(tmp_path)}

    (tmp_path / "a").write_text("2")
    seen.add(fingerprint.of_folder(tmp_path))
    (tmp_path / "a").rename(tmp_path / "b")
    seen.add(fingerprint.of_folder(tmp_path))
    (tmp_path / "c").touch()
    seen.add(fingerprint.of_folder(tmp_path))

    assert len(seen) == 4


def test_a_fingerprint_ignores_bytecode(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    before = fingerprint.of_folder(tmp_path)
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "a.pyc").touch()

    assert fingerprint.of_folder(tmp_path) == before
