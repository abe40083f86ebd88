"""scripts/tenant as a provider meets it, and what the builder makes of its files."""

from __future__ import annotations

import base64
import io
import json
import os
import shutil
import stat
import subprocess
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from nacl.public import PrivateKey
from tenancy import command

from function.config import Settings
from function.tenants import Askers

from . import stack_file

SCRIPT = Path(__file__).resolve().parent.parent / "scripts" / "tenant"
ACME = ("--image", "registry.example/acme/**", "--key", "1")
SECRET = "0123456789abcdef0123456789abcdef"
DIGEST = f"sha256:{'0' * 64}"
YAML = f"""
tenants:
  acme:  # a comment
    keys: [{{name: "1", secret: {SECRET}}}]
"""


@dataclass(frozen=True)
class Ended:
    returncode: int
    stdout: str
    stderr: str


def tenant(folder: Path, *arguments: str) -> Ended:
    """Run the command in *folder* as `__main__` does, without a process of its own."""
    out, err = io.StringIO(), io.StringIO()
    with chdir(folder), redirect_stdout(out), redirect_stderr(err):
        code = command.run(arguments)
    return Ended(code, out.getvalue(), err.getvalue())


def done(folder: Path, *arguments: str) -> str:
    ended = tenant(folder, *arguments)
    assert (ended.returncode, ended.stderr) == (0, ""), ended
    return ended.stdout


def test_runs_where_somebody_stands(tmp_path: Path) -> None:
    # The interpreter that runs the tests has the function's packages.
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    ended = subprocess.run(
        [SCRIPT, "add", "acme", *ACME],
        cwd=tmp_path,
        env={**os.environ, "PATH": path},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (ended.returncode, ended.stderr) == (0, "")
    assert names(tmp_path) == ["acme/1"]


def askers(folder: Path) -> Askers:
    return Askers(Settings(secret_mount_path=folder))


def names(folder: Path) -> list[str]:
    return [key.name for key in askers(folder).known_keys()]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_adds_a_tenant_that_the_builder_lets_in(tmp_path: Path) -> None:
    out = done(tmp_path, "add", "acme", *ACME, "--limit", "builds=4", "--limit", "buildTimeout=10m")

    tenants = askers(tmp_path).tenants
    assert tenants
    acme = tenants.tenants["acme"]
    [key] = acme.keys
    assert key.secret == (tmp_path / "acme.payload-secret-1").read_bytes()
    assert len(base64.b64decode(key.secret)) == 32
    assert [pattern.text for pattern in acme.images] == ["registry.example/acme/**"]
    assert (acme.limits.builds, acme.limits.build_timeout) == (4, 600.0)
    [sealing] = acme.sealing_keys
    assert sealing.public_key == (tmp_path / "acme.build-secrets-key.pub").read_text()
    assert key.secret.decode() not in out
    assert "faas-cli secret create builder-tenants --from-file builder-tenants\n" in out
    assert "kubectl -n openfaas-fn create secret generic builder-tenants" in out


def test_only_the_owner_may_read_what_it_writes(tmp_path: Path) -> None:
    done(tmp_path, "add", "acme", *ACME)
    (tmp_path / "builder-tenants").chmod(0o644)
    done(tmp_path, "add", "acme", "--key", "2")

    for name in ("builder-tenants", "acme.payload-secret-1", "acme.payload-secret-2"):
        assert mode(tmp_path / name) == 0o600


def test_a_key_is_rotated_by_adding_one_and_removing_the_other(tmp_path: Path) -> None:
    done(tmp_path, "add", "acme", *ACME)
    before = json.loads((tmp_path / "builder-tenants").read_bytes())
    out = done(tmp_path, "add", "acme", "--key", "2")
    assert names(tmp_path) == ["acme/1", "acme/2"]
    assert "faas-cli secret update builder-tenants" in out

    done(tmp_path, "remove", "acme", "--key", "1")

    assert names(tmp_path) == ["acme/2"]
    after = json.loads((tmp_path / "builder-tenants").read_bytes())
    for content in (before, after):
        del content["tenants"]["acme"]["keys"]
    assert before == after


def test_a_tenant_is_removed(tmp_path: Path) -> None:
    done(tmp_path, "add", "acme", *ACME)
    done(tmp_path, "add", "beta", "--image", "beta/*", "--key", "1")

    out = done(tmp_path, "remove", "acme")

    assert names(tmp_path) == ["beta/1"]
    assert "builds that run go on to their end" in out


def test_registry_credentials_are_its_own(tmp_path: Path) -> None:
    auth = {"auths": {"registry.example": {"auth": "YTpi"}}}
    (tmp_path / "acme.json").write_text(json.dumps(auth))
    done(tmp_path, "add", "acme", *ACME, "--registry-auth", "acme.json")

    assert (
        json.loads((tmp_path / "builder-tenants").read_bytes())["tenants"]["acme"]["registryAuth"]
        == auth
    )
    out = done(tmp_path, "check", "acme", "registry.example/acme/fn")
    assert "its registryAuth has credentials for registry.example" in out
    assert "YTpi" not in out


def test_what_the_operator_wrote_stays(tmp_path: Path) -> None:
    ops = {"ops": {"keys": [{"name": "1", "secret": SECRET}]}}
    (tmp_path / "builder-tenants").write_text(json.dumps({"cache": "shared", "operators": ops}))
    done(tmp_path, "add", "acme", *ACME)

    content = json.loads((tmp_path / "builder-tenants").read_bytes())
    assert (content["cache"], content["operators"]) == ("shared", ops)


def test_lists_without_a_secret(tmp_path: Path) -> None:
    done(tmp_path, "add", "acme", *ACME)
    done(tmp_path, "add", "beta", "--image", "beta/*", "--key", "1")

    out = done(tmp_path, "list")

    assert "acme\n  keys     1\n  images   registry.example/acme/**\n" in out
    assert "beta\n" in out
    for name in ("acme", "beta"):
        assert (tmp_path / f"{name}.payload-secret-1").read_text() not in out


@pytest.mark.parametrize(
    ("image", "said"),
    [
        ("registry.example/acme/fn:1", '"registry.example/acme/**" covers it'),
        ("registry.example/acme/a/b", "registry.example/acme/a/b means registry.example/acme/a/b"),
    ],
)
def test_explains_what_may_be_pushed(tmp_path: Path, image: str, said: str) -> None:
    done(tmp_path, "add", "acme", *ACME)

    out = done(tmp_path, "check", "acme", image)

    assert f"acme may push {image}\n" in out
    assert said in out


@pytest.mark.parametrize(
    ("image", "said"),
    [
        ("acme/fn", '"registry.example/acme/**" is for registry.example, and not for docker.io'),
        ("registry.example/beta/fn", "covers acme/** there, and not beta/fn"),
        ("registry.example/acme", "covers acme/** there, and not acme"),
        ("registry.example/Acme/fn", "has upper-case letters"),
    ],
)
def test_explains_what_may_not_be_pushed(tmp_path: Path, image: str, said: str) -> None:
    done(tmp_path, "add", "acme", *ACME)

    ended = tenant(tmp_path, "check", "acme", image)

    assert ended.returncode == 1
    assert f"acme may NOT push {image}\n" in ended.stdout
    assert said in ended.stdout


@pytest.mark.parametrize(
    ("policy", "image", "said"),
    [
        ({}, "debian:12", "may build from debian:12\n  no rule of its policy is against it"),
        ({}, "registry.example/beta/fn", "may NOT build from registry.example/beta/fn\n  another"),
        ({}, "registry.example/acme/fn", "may build from"),
        ({"images": {"allow": ["docker.io/library/**"]}}, "debian", "may build from"),
        ({"images": {"allow": ["docker.io/library/**"]}}, "acme/x", "policy.images.allow has"),
        ({"images": {"deny": ["debian"]}}, "debian:12", 'policy.images.deny has "debian"'),
        ({"digests": "required"}, "debian:12", 'policy.digests is "required"'),
        ({"digests": "required"}, f"debian@{DIGEST}", "may build from"),
        ({"digests": "pinned", "pins": {"debian:12": DIGEST}}, "debian:12", "may build from"),
        ({"digests": "pinned", "pins": {"debian:12": DIGEST}}, "debian:13", "may NOT build from"),
        ({}, "UPPER", "has upper-case letters"),
    ],
)
def test_explains_what_may_be_built_from(
    tmp_path: Path, policy: dict[str, Any], image: str, said: str
) -> None:
    done(tmp_path, "add", "acme", *ACME)
    done(tmp_path, "add", "beta", "--image", "registry.example/beta/**")
    path = tmp_path / "builder-tenants"
    path.write_text(json.dumps({**json.loads(path.read_bytes()), "policy": policy}))

    assert said in tenant(tmp_path, "check", "acme", image).stdout


def test_tells_of_a_name_that_two_may_push(tmp_path: Path) -> None:
    for name in ("acme", "beta"):
        done(tmp_path, "add", name, *ACME)

    assert "NOTE: beta may push it, too" in done(
        tmp_path, "check", "acme", "registry.example/acme/fn"
    )


def test_tells_whether_the_file_can_be_used(tmp_path: Path) -> None:
    (tmp_path / "builder-tenants").write_text(YAML)
    assert done(tmp_path, "check") == "builder-tenants can be used: 1 tenant.\n"

    (tmp_path / "builder-tenants").write_text(YAML.replace("keys", "kees"))
    ended = tenant(tmp_path, "check")

    assert ended.returncode == 2
    assert 'tenants.acme has the unknown member "kees"; did you mean "keys"?' in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("add", "beta"), 'Say what "beta" may push: --image "registry.example/beta/**"'),
        (("add", "Beta", "--image", "b/*"), "has a name that is not made of"),
        (("add", "beta", "--image", "b/c:1"), "without a tag"),
        (("add", "acme", "--key", "1"), "is the name of another key"),
        (("add", "acme", "--key", "a/b"), "must be 1 to 63 letters"),
        (("add", "acme", "--key", "2", "--registry-auth", "none"), "There is no none."),
        (("remove", "beta"), 'There is no tenant "beta".'),
        (("remove", "acme", "--key", "1"), "is the only key"),
        (("remove", "acme", "--key", "9"), 'has no key "9"'),
        (("check", "beta", "x"), 'There is no tenant "beta"'),
        (("--file", "none", "list"), "There is no none"),
        (("--file", "no/where", "add", "acme", *ACME), "cannot be opened"),
    ],
)
def test_refuses_with_a_sentence_and_changes_nothing(
    tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    done(tmp_path, "add", "acme", *ACME)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    ended = tenant(tmp_path, *arguments)

    assert (ended.returncode, ended.stdout) == (2, "")
    assert said in ended.stderr
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("content", [YAML, "{", '{"tenant": {}}'])
def test_a_file_that_it_cannot_write_is_kept(tmp_path: Path, content: str) -> None:
    (tmp_path / "builder-tenants").write_text(content)

    assert tenant(tmp_path, "add", "beta", "--image", "b/*").returncode == 2
    assert {path.name for path in tmp_path.iterdir()} == {"builder-tenants"}
    assert (tmp_path / "builder-tenants").read_text() == content


def test_a_key_that_is_there_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "acme.build-secrets-key.pub").write_text("precious")

    ended = tenant(tmp_path, "add", "acme", *ACME)

    assert ended.returncode == 2
    assert "is there already and is kept" in ended.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["acme.build-secrets-key.pub"]


def test_every_key_is_another(tmp_path: Path) -> None:
    for name in ("acme", "beta"):
        done(tmp_path, "add", name, *ACME)

    keys = {path.read_text() for path in tmp_path.iterdir() if path.name != "builder-tenants"}
    assert len(keys) == 4
    assert all(PrivateKey(base64.b64decode(key)) for key in keys)


def test_stack_yml_shows_where_the_secret_goes() -> None:
    assert "builder-tenants" in stack_file.function(all_options=True)["secrets"]
    assert "builder-tenants" not in stack_file.function(all_options=False)["secrets"]


@pytest.mark.skipif(shutil.which("faas-cli") is None, reason="faas-cli is not on PATH")
@pytest.mark.programs
def test_faas_cli_has_the_commands_that_it_prints() -> None:
    for verb in ("create", "update"):
        ended = subprocess.run(
            ["faas-cli", "secret", verb, "--help"], capture_output=True, text=True, check=True
        )
        assert "--from-file" in ended.stdout


def test_a_name_that_another_had_is_not_given_away_without_a_word(tmp_path: Path) -> None:
    done(tmp_path, "add", "acme", *ACME)
    removed = done(tmp_path, "remove", "acme")
    assert "Give no other customer its name" in removed

    again = tenant(tmp_path, "add", "acme", *ACME[:2], "--key", "2")

    assert again.returncode == 2
    assert "of a tenant that had this name: choose another one" in again.stderr
    assert not (tmp_path / "acme.payload-secret-2").exists()
    (tmp_path / "acme.build-secrets-key.pub").unlink()
    done(tmp_path, "add", "acme", *ACME[:2], "--key", "2")
