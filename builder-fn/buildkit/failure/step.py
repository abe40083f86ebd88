"""Pure. A step that lacks a secret or a processor, as a sentence: what it lacked, what to do.

The daemon says the former; the latter is said by runc alone, as the step's last output.
"""

from __future__ import annotations

import re

from ..text.display_strings import NO_SECRET, STEP

_PROGRAM = re.compile(r"exec (?P<path>.+): exec format error")


def explain(cause: str, *, step: str = "", last_output: str = "", platforms: str = "") -> str:
    """Explain what the step lacked and what to do; return nothing if it failed for another reason.

    *platforms* are those that the build is for, as the frontend's option writes them.
    """
    if secret := NO_SECRET.fullmatch(cause):
        return (
            f'The build was not sent the secret "{secret["id"]}". Seal it into com.openfaas.secrets under '
            "that name."
        )
    if program := _PROGRAM.fullmatch(last_output):
        named = STEP.match(step)  # of "linux/amd64->arm64", the first is where the step itself runs
        wanted = (named and named["platform"]) or platforms
        asked = f" (asked for: {wanted})" if wanted else ""
        return (
            f"{program['path']} cannot be run by buildkitd: it is for another platform than the daemon's"
            f"{asked}, or a script that does not begin with #!. Build for the daemon's own platform; or run "
            "the step on that, with FROM --platform=$BUILDPLATFORM, and cross-compile; or have buildkitd's "
            "operator add an emulator, or a node of that platform."
        )
    return ""
