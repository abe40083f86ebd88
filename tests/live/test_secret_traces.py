"""After builds that used secrets and credentials: none is left anywhere but where its owner put it.

Every build is run first, by one function on one daemon; then all is stopped, and all that was said and
written is searched for every secret at once. What was planted on purpose shows that it would be found.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from dataclasses import dataclass
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from stack.daemons.registry import Credentials

from .caller import NDJSON, Answer, Request
from .scene import Scene, auth_file, serving
from .sealing import KeyPair, SealedRequest, public_key
from .traces import Needle, Trace
from .waiting import wait_until

if TYPE_CHECKING:
    from stack.machine import Machine

BASE = "FROM debian:trixie-slim\n"
MOUNT = "RUN --mount=type=secret,id=token --mount=type=secret,id=token,env=TOKEN"
REGISTRY_AUTH = "com.openfaas.registry.auth"
EVENTS = "text/event-stream"
SPECIAL = " +/&=%:@"


def needle(name: str, special: str = "") -> Needle:
    return Needle(name, secrets.token_hex(12).encode() + special.encode())


# Planted on purpose, each where it must be found.
IN_A_LAYER = needle("in a layer")
IN_THE_CONFIG = needle("in the config", SPECIAL)
IN_THE_LOG = needle("in the log", SPECIAL)
IN_THE_IMAGE_NAME = needle("in the image's name")
IN_A_TEMPORARY_FILE = needle("in a temporary file")
IN_A_SHARED_FILE = needle("in a temporary file of the machine's")
# A step may keep what it was given; that is found, too.
KEPT = needle("kept by its step")

PRINTED = needle("printed by a step", SPECIAL)
PRINTED_IN_A_STREAM = needle("printed by a step, its log streamed", SPECIAL)
PRINTED_IN_EVENTS = needle("printed by a step, its log sent as events", SPECIAL)
PRINTED_IN_A_FAILURE = needle("printed by a step that fails", "+/=")
USED = needle("used by a step")
FOR_ANOTHER_KEY = needle("sealed for another key")
MOUNTED_PASSWORD = needle("password in config.json", "+/:@")
SEALED_PASSWORD = needle("password sealed by the caller", "+/:@")
WRONG_PASSWORD = needle("wrong password sealed by the caller")
PAYLOAD_SECRET = needle("payload secret", SPECIAL)


OPERATOR = Credentials(username="operator", password=MOUNTED_PASSWORD.value.decode())
CALLER = Credentials(username="caller", password=SEALED_PASSWORD.value.decode())
IMPOSTOR = Credentials(username="caller", password=WRONG_PASSWORD.value.decode())


def searchable_key() -> tuple[KeyPair, Needle]:
    """Make a pair whose private half can be searched for as the bytes it is, and so in base64 as well."""
    while True:
        pair = KeyPair.generate()
        data = base64.b64decode(pair.private)
        if not set(data) & set(b"\0\n"):
            return pair, Needle("private key", data)


KEY, PRIVATE_KEY = searchable_key()

NEEDLES = (
    *(
        IN_A_LAYER,
        IN_THE_CONFIG,
        IN_THE_LOG,
        IN_THE_IMAGE_NAME,
        IN_A_TEMPORARY_FILE,
        IN_A_SHARED_FILE,
        KEPT,
    ),
    *(PRINTED, PRINTED_IN_A_STREAM, PRINTED_IN_EVENTS, PRINTED_IN_A_FAILURE),
    *(USED, FOR_ANOTHER_KEY),
    *(MOUNTED_PASSWORD, SEALED_PASSWORD, WRONG_PASSWORD, PAYLOAD_SECRET, PRIVATE_KEY),
)

# What a step can do to what it was given before it prints it. Debian's smallest system has Perl.
PRINTING = "; ".join(
    [
        "cat /run/secrets/token; echo",
        'echo "before $TOKEN after" >&2',
        "dd if=/run/secrets/token bs=1 status=none; echo",
        *(
            f"(printf '{'x' * n}'; cat /run/secrets/token) | base64 --wrap=0; echo"
            for n in range(3)
        ),
        "perl -pe 's/([^A-Za-z0-9_.~-])/sprintf(\"%%%02X\", ord($1))/ge' /run/secrets/token; echo",
    ]
)


@dataclass(frozen=True)
class Aftermath:
    answers: dict[str, Answer]
    traces: frozenset[Trace]
    history: bytes
    metrics: bytes

    def of(self, needle: Needle) -> set[Trace]:
        return {trace for trace in self.traces if trace.needle == needle.name}


@pytest.fixture(scope="module")
def aftermath(machine: Machine, mirror: str) -> Aftermath:
    with (
        serving(
            machine,
            mirror,
            payload_secret=PAYLOAD_SECRET.value,
            private_key=KEY.private,
            operator=OPERATOR,
            caller=CALLER,
        ) as scene,
        NamedTemporaryFile() as shared,
    ):
        shared.write(IN_A_SHARED_FILE.value)
        shared.flush()
        answers = {"planted": plant(scene), **use_secrets(scene)}
        build_id = answers["planted"].document["buildId"]
        # An image is in the registry before its build is in the history.
        wait_until(lambda: build_id.encode() in scene.buildctl("debug", "histories"))
        history = scene.buildctl("debug", "histories", "--format", "{{json .}}")
        scene.buildctl("debug", "logs", build_id)
        for path in ("/metrics", "/publickey", "/ready"):
            scene.ask(path)
        scene.stop()
        traces = frozenset(scene.search(NEEDLES))
        metrics = scene.said["GET /metrics"]
        return Aftermath(answers=answers, traces=traces, history=history, metrics=metrics)


def plant(scene: Scene) -> Answer:
    word = IN_THE_LOG.value.decode()
    arguments = {
        "LAYER": IN_A_LAYER.value.decode(),
        "WORD": word,
        "QUOTED": quote(word, safe=""),
        "HEX": word.encode().hex(),
    }
    encode = "; ".join(f"printf '{'x' * n}%s' \"$WORD\" | base64 --wrap=0; echo" for n in range(3))
    dockerfile = (
        f"{BASE}ARG {' '.join(arguments)}\n"
        'RUN printf %s "$LAYER" > /planted\n'
        f'RUN echo "$WORD"; echo "$QUOTED"; echo "$HEX"; {encode}\n'
    )
    (scene.temporary / "planted").write_bytes(IN_A_TEMPORARY_FILE.value)
    return scene.build(
        "planted",
        Request(
            {"Dockerfile": dockerfile},
            f"{scene.mounted.address}/planted:{IN_THE_IMAGE_NAME.value.decode()}",
            {"buildArgs": arguments, "labels": {"planted": IN_THE_CONFIG.value.decode()}},
        ),
    )


def use_secrets(scene: Scene) -> dict[str, Answer]:
    public = public_key(scene.function.url)
    mounted, sealed = scene.mounted.address, scene.sealed.address

    def build(
        name: str,
        command: str,
        secret: Needle,
        image: str,
        *,
        accept: str = "*/*",
        auth: Credentials | None = None,
    ) -> Answer:
        # The step makes sure of its secret: without one, nothing here would be wrong.
        digest = hashlib.sha256(secret.value).hexdigest()
        check = f"sha256sum /run/secrets/token | grep --quiet ^{digest}"
        values: dict[str, str | bytes] = {"token": secret.value}
        if auth:
            values[REGISTRY_AUTH] = auth_file(sealed, auth)
        files = {"Dockerfile": f"{BASE}{MOUNT} {check} && {{ {command}; }}\n"}
        request = SealedRequest(files, image, public=public, secrets=values)
        return scene.build(name, request, accept=accept)

    def build_with_credentials(name: str, image: str, auth: Credentials) -> Answer:
        """Build with these credentials and nothing else that is secret."""
        values = {REGISTRY_AUTH: auth_file(sealed, auth)}
        files = {"Dockerfile": f"{BASE}RUN true\n"}
        return scene.build(name, SealedRequest(files, image, public=public, secrets=values))

    other = KeyPair.generate().public
    values = {"token": FOR_ANOTHER_KEY.value}
    for_another_key = SealedRequest({"Dockerfile": BASE}, public=other, secrets=values)
    failing = f'{PRINTING}; sh -c "$TOKEN"; exit 9'
    return {
        "printed": build("printed", PRINTING, PRINTED, f"{mounted}/printed:1"),
        "streamed": build(
            "streamed", PRINTING, PRINTED_IN_A_STREAM, f"{mounted}/printed:2", accept=NDJSON
        ),
        "events": build(
            "events", PRINTING, PRINTED_IN_EVENTS, f"{mounted}/printed:3", accept=EVENTS
        ),
        "failed": build("failed", failing, PRINTED_IN_A_FAILURE, f"{mounted}/failed:1"),
        "kept": build("kept", "cp /run/secrets/token /kept", KEPT, f"{mounted}/kept:1"),
        "used": build("used", "true", USED, f"{sealed}/private:1", auth=CALLER),
        "unauthorized": build("unauthorized", "true", USED, f"{sealed}/private:2", auth=IMPOSTOR),
        "credentials": build_with_credentials("credentials", f"{sealed}/private:3", CALLER),
        "wrong credentials": build_with_credentials(
            "wrong credentials", f"{sealed}/private:4", IMPOSTOR
        ),
        "for another key": scene.build("for another key", for_another_key),
    }


@pytest.mark.parametrize(
    ("planted", "form", "place"),
    [
        pytest.param(IN_A_LAYER, "plain", r"daemon: .*/snapshots/.*/planted", id="a snapshot"),
        pytest.param(IN_A_LAYER, "plain", r"mounted: data/.*, unpacked", id="a pushed layer"),
        pytest.param(IN_THE_CONFIG, "JSON", r"mounted: data/.*/data", id="a pushed config"),
        pytest.param(IN_THE_CONFIG, "plain", r"daemon: .*\.db", id="the daemon's databases"),
        pytest.param(IN_THE_LOG, "plain", r"buildctl debug histories.*", id="the history"),
        pytest.param(IN_THE_LOG, "plain", r"daemon: .*/content/.*", id="the daemon's content"),
        pytest.param(IN_THE_LOG, "base64 at 1", r"buildctl debug logs .*", id="a kept log"),
        pytest.param(IN_THE_LOG, "plain", r"the answer to planted", id="as it is"),
        pytest.param(IN_THE_LOG, "base64 at 0", r"the answer to planted", id="in base64"),
        pytest.param(IN_THE_LOG, "base64 at 1", r"the answer to planted", id="in base64, after x"),
        pytest.param(IN_THE_LOG, "base64 at 2", r"the answer to planted", id="in base64, after xx"),
        pytest.param(IN_THE_LOG, "hex", r"the answer to planted", id="in hexadecimal"),
        pytest.param(IN_THE_LOG, "URL", r"the answer to planted", id="as in a URL"),
        pytest.param(IN_THE_IMAGE_NAME, "plain", r"function: function\.log", id="our own log"),
        pytest.param(IN_THE_IMAGE_NAME, "plain", r"mounted: a file's name", id="a file's name"),
        pytest.param(IN_A_TEMPORARY_FILE, "plain", r"tmp: planted", id="a temporary file"),
        pytest.param(IN_A_SHARED_FILE, "plain", r"/.*", id="a temporary file of the machine's"),
        pytest.param(
            KEPT, "plain", r"mounted: data/.*, unpacked", id="a layer that kept its secret"
        ),
    ],
)
def test_what_was_planted_is_found(
    aftermath: Aftermath, planted: Needle, form: str, place: str
) -> None:
    found = aftermath.of(planted)
    assert any(trace.form == form and re.fullmatch(place, trace.place) for trace in found), found


def test_the_builds_went_as_they_were_meant_to(aftermath: Aftermath) -> None:
    answers = aftermath.answers
    documents = {name: answer.document for name, answer in answers.items() if name != "events"}
    outcomes = {name: document.get("reason", "success") for name, document in documents.items()}
    assert outcomes == {
        "planted": "success",
        "printed": "success",
        "streamed": "success",
        "failed": "build_failed",
        "kept": "success",
        "used": "success",
        "unauthorized": "build_failed",
        "credentials": "success",
        "wrong credentials": "build_failed",
        "for another key": "bad_secrets",
    }
    assert documents["failed"]["failedStep"]["exitCode"] == 9
    assert b'"status": "success"' in answers["events"].body
    assert b"builder_fn_builds" in aftermath.metrics


@pytest.mark.parametrize(
    "secret",
    [
        *(PRINTED, PRINTED_IN_A_STREAM, PRINTED_IN_EVENTS, PRINTED_IN_A_FAILURE),
        *(USED, FOR_ANOTHER_KEY),
        *(MOUNTED_PASSWORD, SEALED_PASSWORD, WRONG_PASSWORD, PAYLOAD_SECRET, PRIVATE_KEY),
    ],
    ids=lambda secret: secret.name,
)
def test_a_secret_leaves_no_trace(aftermath: Aftermath, secret: Needle) -> None:
    assert not aftermath.of(secret)


def test_a_step_that_keeps_its_secret_keeps_it_in_its_own_layer_alone(aftermath: Aftermath) -> None:
    for trace in aftermath.of(KEPT):
        assert re.search(r"/snapshots/.*/kept$|/sha256/.*, unpacked$", trace.place)


@pytest.mark.parametrize("name", ["printed", "streamed", "failed"])
def test_only_the_secret_is_missing_from_the_log(aftermath: Aftermath, name: str) -> None:
    log = aftermath.answers[name].log
    assert any(re.fullmatch(r"#\d+ [\d.]+ before .* after", entry) for entry in log)


def test_builds_that_brought_secrets_are_on_record_as_they_were_redacted(
    aftermath: Aftermath,
) -> None:
    """Look for ids alone: that no value is there, the search of the daemon's whole root has shown."""
    with_secrets = ("printed", "streamed", "failed", "kept", "used", "credentials")
    build_ids = {name: aftermath.answers[name].document["buildId"] for name in with_secrets}
    assert len(set(build_ids.values())) == len(with_secrets)
    assert [
        name for name, each in build_ids.items() if each.encode() not in aftermath.history
    ] == []
    assert aftermath.answers["planted"].document["buildId"].encode() in aftermath.history
