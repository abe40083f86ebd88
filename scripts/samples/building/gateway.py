"""Calls OpenFaaS' gateway: its functions, and its API."""

import base64
import json
import os
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import Message

from .secret_files import secret

URL = os.environ.get("gateway_url", "http://gateway.openfaas:8080")
# Longer than a build takes.
_SECONDS = 40 * 60


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes
    headers: Message = field(default_factory=Message)


def call(path: str, body: bytes | None, headers: Mapping[str, str], method: str = "POST") -> Answer:
    request = urllib.request.Request(URL + path, body, dict(headers), method=method)
    try:
        with urllib.request.urlopen(request, timeout=_SECONDS) as answer:
            return Answer(answer.status, answer.read(), answer.headers)
    except urllib.error.HTTPError as error:
        return Answer(error.code, error.read(), error.headers)
    except OSError as error:
        return Answer(502, f"The gateway does not answer: {error}.\n".encode())


# Of a function: when the build was ordered that made its image.
CREATED = "com.openfaas.builder.created"


def deployed_since(name: str) -> float:
    """Return when the build of the function's image was ordered, in seconds since 1970; 0 if unknown."""
    answer = _asked(f"/system/function/{name}", None, "GET")
    labels = json.loads(answer.body).get("labels") or {} if answer.status == 200 else {}
    return float(labels.get(CREATED, 0))


def deploy(name: str, image: str, created: float = 0) -> Answer:
    """Update the function, or make it if there is none of that name. *created* is its build's."""
    labels = {CREATED: f"{created:.3f}"}
    wanted = json.dumps({"service": name, "image": image, "labels": labels}).encode()
    answer = _asked("/system/functions", wanted, "PUT")
    if answer.status == 404:
        answer = _asked("/system/functions", wanted, "POST")
    return answer


def _asked(path: str, body: bytes | None, method: str) -> Answer:
    user, password = secret("basic-auth-user"), secret("basic-auth-password")
    authorization = "Basic " + base64.b64encode(user + b":" + password).decode()
    headers = {"Authorization": authorization, "Content-Type": "application/json"}
    return call(path, body, headers, method)
