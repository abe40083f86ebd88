"""Serves HTTP and runs openssl. Gives out the tokens that a registry with `auth: token` asks for.

Follows distribution's docs/spec/auth (token.md, oauth.md, jwt.md): a registry sends its clients
here, and believes what was signed with this server's key. It runs in threads of its own process,
so that a test can change passwords while a build runs, and see which client asked for what.
"""

import base64
import json
import secrets
import subprocess
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self
from urllib.parse import parse_qs, urlsplit

from stack.daemons import certificates, ports

SERVICE = "registry of builder-fn"
ISSUER = "token server of builder-fn"

# docker-registry 2.8 takes a token for so long after its end (registry/auth/token/token.go).
_LEEWAY_SECONDS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An account, and the repositories it may ask for: those whose names begin so."""

    username: str
    password: str
    identity_token: str = ""
    pull: Sequence[str] = ("",)
    push: Sequence[str] = ("",)

    def actions(self, repository: str) -> set[str]:
        allowed = {"pull": self.pull, "push": self.push}
        return {
            action
            for action, beginnings in allowed.items()
            if any(repository.startswith(beginning) for beginning in beginnings)
        }


ANYONE = Account(username="", password="", pull=(), push=())


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request for a token: its user, secret and scope, and whether a token was given."""

    username: str
    secret: str = field(repr=False)
    scopes: Sequence[str]
    method: str
    status: int


class TokenServer(ThreadingHTTPServer):
    """A running server. As a context manager it stops at the end of the block.

    `accounts`, `anyone` (what nobody in particular may do), `lifetime` of tokens in seconds and
    `denies` (answer 403 rather than a token for less than was asked, as ghcr.io does) may be
    changed while it runs.
    """

    daemon_threads = True
    service = SERVICE
    issuer = ISSUER

    def __init__(self, folder: Path, accounts: Iterable[Account]) -> None:
        super().__init__((ports.LOOPBACK, 0), _Handler)
        self.accounts = list(accounts)
        self.anyone = ANYONE
        self.lifetime = 300
        self.denies = False
        self.asked: list[Asked] = []
        self.realm = f"http://{ports.LOOPBACK}:{self.server_port}/token"
        self.signer = certificates.self_signed(folder, "tokens", key=["-newkey", "rsa:2048"])

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, name="token server", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    def account(self, username: str, secret: str) -> Account | None:
        """Return the account; without a username the secret is an identity token, without both it
        is anyone.
        """
        if not (username or secret):
            return self.anyone
        for account in self.accounts:
            own = (account.username, account.password) if username else ("", account.identity_token)
            if secret and (username, secret) == own:
                return account
        return None

    def token(self, account: Account, access: Sequence[Mapping[str, object]]) -> str:
        now = int(time.time())
        header = {"typ": "JWT", "alg": "RS256", "x5c": [self._certificate()]}
        claims = {
            "iss": ISSUER,
            "sub": account.username,
            "aud": SERVICE,
            "iat": now,
            "nbf": now - _LEEWAY_SECONDS,
            "exp": now + self.lifetime - _LEEWAY_SECONDS,
            "jti": secrets.token_hex(8),
            "access": access,
        }
        signed = ".".join(_encoded(json.dumps(part).encode()) for part in (header, claims))
        command = ["openssl", "dgst", "-sha256", "-sign", str(self.signer.key)]
        signature = subprocess.run(command, input=signed.encode(), capture_output=True, check=True)
        return f"{signed}.{_encoded(signature.stdout)}"

    def _certificate(self) -> str:
        lines = self.signer.certificate.read_text().splitlines()
        return "".join(line for line in lines if not line.startswith("-----"))


class _Handler(BaseHTTPRequestHandler):
    server: TokenServer

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        username, secret = _basic(self.headers.get("Authorization", ""))
        # An identity token is taken by POST alone (oauth.md).
        refused = bool(secret) and not username
        self._give("(nobody)" if refused else username, secret, query.get("scope", []))

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0"))).decode()
        form = {name: values[0] for name, values in parse_qs(body).items()}
        scopes = form.get("scope", "").split()
        if form.get("grant_type") == "refresh_token":
            self._give("", form.get("refresh_token", ""), scopes)
        else:
            self._give(form.get("username", ""), form.get("password", ""), scopes)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        pass

    def _give(self, username: str, secret: str, scopes: Sequence[str]) -> None:
        account = self.server.account(username, secret)
        if account is None:
            answer = 401, _error("UNAUTHORIZED", "incorrect username or password")
        else:
            answer = self._decided(account, [scope.split(":") for scope in scopes])
        self.server.asked.append(
            Asked(
                username=username,
                secret=secret,
                scopes=tuple(scopes),
                method=self.command,
                status=answer[0],
            )
        )
        self._answer(*answer)

    def _decided(
        self, account: Account, scopes: Sequence[Sequence[str]]
    ) -> tuple[int, Mapping[str, object]]:
        access = []
        for kind, repository, wanted in scopes:
            given = account.actions(repository) & set(wanted.split(","))
            if self.server.denies and given != set(wanted.split(",")):
                return 403, _error("DENIED", "requested access to the resource is denied")
            access.append({"type": kind, "name": repository, "actions": sorted(given)})
        token = self.server.token(account, access)
        return 200, {"token": token, "access_token": token, "expires_in": self.server.lifetime}

    def _answer(self, status: int, document: Mapping[str, object]) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _basic(header: str) -> tuple[str, str]:
    if not header.startswith("Basic "):
        return "", ""
    username, _, secret = base64.b64decode(header.removeprefix("Basic ")).decode().partition(":")
    return username, secret


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _error(code: str, message: str) -> Mapping[str, object]:
    return {"errors": [{"code": code, "message": message}]}
