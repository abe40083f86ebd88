"""Runs scripts/generate-key. The key that build secrets are sealed for, made as its users make one."""

import subprocess
import sys

from ..errors import StackError
from ..install import ownership
from ..install.account import Account
from ..paths import Paths


def ensure(paths: Paths, account: Account) -> None:
    """Make the pair once, beside the payload secret."""
    key = paths.payload_secret.with_name("build-secrets-key")
    if not key.exists():
        script = paths.repository / "scripts" / "generate-key"
        command = [sys.executable, str(script), str(key)]
        made = subprocess.run(command, capture_output=True, text=True, check=False)
        if made.returncode:
            raise StackError(f"There is no key for build secrets: {made.stderr.strip()}")
    ownership.write(key, key.read_bytes(), mode=0o400, uid=account.uid, gid=account.gid)
