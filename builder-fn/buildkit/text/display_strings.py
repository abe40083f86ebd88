"""Pure. Names every text that BuildKit prints for people and that this client and the history go by.

BuildKit promises none of them. So each stands here once, with the place that prints it (moby/buildkit
v0.32.2, and containerd v2 as vendored there) and with what depends on it. tests/live/test_display_strings.py
expects every one of them of the daemon in use: a version that prints another text fails by its name.

Not here: what registries, Go's net and crypto/x509, Linux and runc say (failure/registry.py,
failure/daemon.py and failure/step.py), which no version of BuildKit decides; and what gRPC says
(rpc/unavailable.py).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_DIGEST = r"sha256:[0-9a-f]{64}"
# In front of a step's number if it is built for several platforms: "linux/amd64 ", "linux/amd64->arm64 ".
_PLATFORM = r"(?P<platform>[^\s\]]+/[^\s\]]+?)(?:->[^\s\]]+)? "


@dataclass(frozen=True, slots=True)
class DisplayString:
    """A text as a pattern."""

    pattern: re.Pattern[str]
    printed_by: str  # file and line in moby/buildkit
    decides: str  # what depends on it here

    def match(self, text: str) -> re.Match[str] | None:
        return self.pattern.match(text)

    def fullmatch(self, text: str) -> re.Match[str] | None:
        return self.pattern.fullmatch(text)

    def search(self, text: str) -> re.Match[str] | None:
        return self.pattern.search(text)

    def is_about(self, ref: str, text: str) -> bool:
        """Tell whether *text* is this one, of the build *ref*."""
        found = self.pattern.fullmatch(text)
        return found is not None and found["ref"] == ref


def _displayed(
    pattern: str, printed_by: str, decides: str, flags: re.RegexFlag = re.NOFLAG
) -> DisplayString:
    return DisplayString(re.compile(pattern, flags), printed_by, decides)


# What a call is refused with.

JOB_EXISTS = _displayed(
    r"job ID (?P<ref>.+) exists",
    "solver/jobs.go:692",
    "which replica holds a claim or a journal, and that a record was left there already (history/ref_lock, "
    "history/search)",
)
NO_SUCH_JOB = _displayed(
    r"(?:.*: )?no such job (?P<ref>.+)",
    "solver/errdefs/jobs.go:18",
    "that a lock whose predecessor has just ended is waited for (history/ref_lock)",
)
NO_SUCH_RECORD = _displayed(
    r"failed to retrieve ref (?P<ref>[^:]+): file does not exist",
    "solver/llbsolver/history/buildhistory.go:321",
    "that a new build is known for one without a search (history/search)",
)

# What vertexes are called.

LOAD_DEFINITION = _displayed(
    r"\[internal\] load build definition ",
    "frontend/dockerui/config.go:341",
    "when a build began, and which steps it found done (progress/steps)",
)
LOAD = _displayed(
    r"\[internal\] load ",
    "frontend/dockerui/config.go:460, 526 and 541",
    "the phase transfer (progress/phases)",
)
LOAD_METADATA = _displayed(
    r"\[(?:[^\s\]]+ )?internal\] load metadata for ",
    "frontend/dockerfile/dockerfile2llb/convert.go:697",
    "the phase pull, and that all base images which may be missing are named (progress/phases, "
    "failure/build_failed)",
)
RESOLVE_CONFIG = _displayed(
    r"resolve image config for ",
    "solver/llbsolver/bridge.go:258",
    "the phase pull, for a frontend of its own (progress/phases)",
)
FRONTEND_IMAGE = _displayed(
    r"docker-image://",
    "client/llb/source.go:256",
    "the phase pull, for a frontend of its own (progress/phases)",
)
FROM = _displayed(
    r"\[[^\]]+\] FROM (?P<name>\S+)",
    "frontend/dockerfile/dockerfile2llb/convert.go:749",
    "the phase pull, and which image could not be pulled (progress/phases, failure/registry)",
)
STEP = _displayed(
    rf"\[(?:{_PLATFORM})?(?:(?P<stage>[^\s/\]]+) )? *\d+/\d+\] (?P<base>FROM )?",
    "frontend/dockerfile/dockerfile2llb/convert.go:1950",
    "which steps are the Dockerfile's and their stages and platforms (progress/steps, failure/step)",
)
FIRST_STAGE = _displayed(
    r"stage-0",
    "frontend/dockerfile/dockerfile2llb/convert.go:478",
    "the name of the only stage, which has none of its own then (progress/steps)",
)
EXPORT = _displayed(
    r"exporting ",
    "exporter/containerimage/export.go:208",
    "the phase export (progress/phases)",
)

# What the statuses within a vertex are called.

TRANSFERRING = _displayed(
    r"transferring ",
    "source/local/source.go:276",
    "how many bytes of the context were sent (progress/phases)",
)
EXPORTED_MANIFEST = _displayed(
    rf"exporting manifest (?:list )?(?P<digest>{_DIGEST})",
    "exporter/containerimage/writer.go:371 and 558: of several platforms' manifests the list comes last",
    "the digest while the image is pushed, so that it is described by its end (progress/pushes)",
)
PUSHING = _displayed(
    r"pushing ",
    "util/push/push.go:131 and 141",
    "the phase push (progress/phases)",
)
PUSHING_LAYERS = _displayed(
    r"pushing layers",
    "util/push/push.go:131",
    "that the manifest exported last is the image's (progress/pushes)",
)
PUSHED = _displayed(
    rf"pushing manifest for (?P<name>\S+)@(?P<digest>{_DIGEST})",
    "util/push/push.go:141: one for each name; it completes whether the push went well or not",
    "that a build has succeeded, and what it pushed (progress/pushes)",
)

# What errors say.

CANCELED = _displayed(
    r"context canceled\Z",
    "Go's context.Canceled, by solver/llbsolver/solver.go:531",
    "which steps were only given up (text/plain_text)",
)
CACHE_KEY = _displayed(
    r"failed to compute cache key: ",
    "solver/edge.go:916",
    "that an error begins with what was wrong (text/plain_text)",
)
CHECKSUM = _displayed(
    r"failed to calculate checksum of ref [^:]+(?:::[^:]+)?: ",
    "solver/llbsolver/ops/opsutils/contenthash.go:60",
    "that an error names no ref of the daemon's (text/plain_text)",
)
EXIT_CODE = _displayed(
    r"did not complete successfully: exit code: \d+\s*$",
    "solver/llbsolver/ops/exec.go:555",
    "that a step's own words are not taken for a trouble of the daemon's (failure/daemon)",
)
NO_SECRET = _displayed(
    r"secret (?P<id>.+): not found",
    "session/secrets/secrets.go:26",
    "that a secret which was not sent is named (failure/step)",
)
SOURCE_DENIED = _displayed(
    r"source \"(?P<source>(?:[^\"\\]|\\.)*)\" denied by policy: ",
    "sourcepolicy/engine.go:157",
    "that a refusal by the source policy is no failure of the build (failure/build_failed)",
)
LINTED_LINE = _displayed(
    r" \(line (?P<line>\d+)\)\Z",
    "frontend/dockerfile/linter/linter.go:180",
    "that a warning's sentence does not repeat its line (progress/vertex_warning)",
)

# A pull's or a push's error: at the start only, since further on a message quotes commands.

_LED = r"^(?:failed to [a-z ]+: )*(?:\S+: )?"

PULL_FAILED = _displayed(
    _LED + r"failed to resolve source metadata for (?P<name>\S+): (?P<rest>.*)",
    "client/llb/sourceresolver/imageresolver.go:51",
    "that a base image which cannot be pulled is named, and why (failure/registry)",
    re.DOTALL,
)
PUSH_FAILED = _displayed(
    _LED + r"failed to push (?P<name>\S+): (?P<rest>.*)",
    "exporter/containerimage/export.go:407",
    "that an image which cannot be pushed is named, and why (failure/registry)",
    re.DOTALL,
)
# A layer is fetched when it is needed, which may be at the push; its image is not named then.
LAYER_FAILED = _displayed(
    _LED + r"(?:failed to push \S+: )?failed to copy: httpReadSeeker: (?P<rest>.*)",
    "containerd core/content/helpers.go:217 and core/remotes/docker/httpreadseeker.go:159",
    "that a base image whose layer is gone is named (failure/registry)",
    re.DOTALL,
)
AUTHORIZE_FAILED = _displayed(
    r"failed to authorize",
    "containerd core/remotes/docker/resolver.go:658",
    "whether a registry or its token server is to be configured (failure/registry)",
)
# What follows the status in a body, if anything does, are the registry's own words.
UNEXPECTED_STATUS = _displayed(
    r"unexpected status from (?P<method>[A-Z]+) request to (?P<url>\S+): (?P<status>\d{3})\b"
    r"[^:\n]*(?:[:\n]\s*(?P<words>.*))?",
    "containerd core/remotes/errors/errors.go:43",
    "what a registry's status means (failure/registry)",
    re.DOTALL,
)


def all_of_them() -> dict[str, DisplayString]:
    """Return them by their names here."""
    return {name: each for name, each in globals().items() if isinstance(each, DisplayString)}
