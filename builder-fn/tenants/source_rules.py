"""Pure. A policy as the rules that the daemon applies to every source of a build, and a refusal explained.

The order matters: of all rules that fit a source the last decides. So everything is refused, then lists
allow, then those that refuse have the last word.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..buildkit import OWN_SESSION, Action, SourceRule
from ..quoting import quoted
from .policy import Digests, Policy
from .source_patterns import Sources, common, refused_images

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from .source_patterns import SourcePattern

_IMAGE = "docker-image://"
_GIT = "git://"
_ANYTHING = "(?s:.*)"
_WITHOUT_DIGEST = f"{_IMAGE}[^@]*"

# How the daemon knows an image that reads a Dockerfile (moby/buildkit v0.32.2 frontend/gateway/gateway.go).
_FRONTEND = {"image.recordtype": "frontend"}
# A client of another session could otherwise be asked for its files (source/local).
_OWN_FILES = {"local.session": OWN_SESSION}
# Contents for a git repository from elsewhere than its host (source/git/identifier.go).
_NO_BUNDLE = {"git.bundle": ""}
# They are fetched from whatever hosts the repository names.
_NO_SUBMODULES = {"git.skipsubmodules": "true"}

_MOST_SHOWN = 5  # patterns, in a sentence


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceLimits:
    """Limits what one build may read, by its *policy* and whatever else it is held to.

    It is *guarded* if other restrictions hold for it that only BuildKit's own frontend is known to keep.
    Images of *others* are refused, but for those that are its *own*.
    """

    policy: Policy
    guarded: bool = False
    own: Sequence[SourcePattern] = field(default=())
    others: Sequence[SourcePattern] = field(default=())

    def rules(self) -> tuple[SourceRule, ...]:
        """Return the daemon's rules; none if the build may use every source."""
        unrestricted, policy = Policy(), self.policy
        names = ("images", "frontends", "hosts", "git", "digests", "pins")
        restricts = any(getattr(policy, name) != getattr(unrestricted, name) for name in names)
        if not (self.guarded or self.others or restricts):
            return ()
        return tuple(self._rules())

    def allows_image(self, name: str) -> bool:
        """Tell whether an image of the canonical *name*, with its tag, is on the list of images."""
        return not _refusing_list("images", self.policy.images, _IMAGE + name, "images")

    def refuses_frontend(self, source: str) -> bool:
        """Tell whether a list is against the image *source* as a reader of Dockerfiles."""
        lists = ("images", self.policy.images), ("frontends", self._frontends)
        return any(_refusing_list(name, each, source, "images") for name, each in lists)

    def refusal(self, source: str) -> str:
        """Return a clause that says which rule refuses the *source* that the daemon names."""
        if source.startswith(_IMAGE):
            return self._image_refusal(source)
        hosts, git = self.policy.hosts, self.policy.git
        if re.match("https?://", source):
            return _refusing_list("hosts", hosts, source, "urls") or _UNCLEAR
        if source.startswith(_GIT):
            return (
                _refusing_list("hosts", hosts, source, "repositories")
                or _refusing_list("git", git, source, "repositories")
                or "policy.hosts and policy.git have no entry in common for it"
            )
        return "sources of this kind may not be used"

    @property
    def _frontends(self) -> Sources:
        """The images that may read a Dockerfile in BuildKit's stead."""
        if self.policy.frontends is not None:
            return self.policy.frontends
        return Sources(()) if self.guarded else Sources()

    def _rules(self) -> Iterator[SourceRule]:
        hosts, git = self.policy.hosts, self.policy.git
        yield SourceRule(action=Action.DENY, pattern=_ANYTHING)
        yield SourceRule(action=Action.ALLOW, pattern=f"local://{_ANYTHING}", having=_OWN_FILES)
        yield from self._image_rules()
        yield from _all(Action.ALLOW, (pattern.urls for pattern in hosts.allowed))
        yield from _all(Action.DENY, (pattern.refused_urls for pattern in hosts.deny))
        allowed = common(git.allowed, hosts.allowed)
        yield from _all(Action.ALLOW, (pattern.repositories for pattern in allowed))
        refused = (*hosts.deny, *git.deny)
        yield from _all(Action.DENY, (pattern.refused_repositories for pattern in refused))
        yield SourceRule(action=Action.DENY, pattern=f"{_GIT}{_ANYTHING}", without=_NO_BUNDLE)
        if hosts != Sources() or git != Sources():
            yield SourceRule(
                action=Action.CONVERT, pattern=f"{_GIT}{_ANYTHING}", attrs=_NO_SUBMODULES
            )

    def _image_rules(self) -> Iterator[SourceRule]:
        images = self.policy.images
        for name, digest in self.policy.pins.items():
            yield SourceRule(
                action=Action.CONVERT,
                pattern=re.escape(_IMAGE + name),
                identifier=f"{_IMAGE}{name}@{digest}",
            )
        yield from _all(Action.ALLOW, self._images(images.allowed))
        if self.others:
            yield from _all(Action.DENY, [refused_images(self.others)])
            yield from _all(Action.ALLOW, self._images(self.own))
        frontends = self._frontends
        if frontends != Sources():
            yield SourceRule(action=Action.DENY, pattern=f"{_IMAGE}{_ANYTHING}", having=_FRONTEND)
            allowed = common(frontends.allowed, images.allowed)
            yield from _all(Action.ALLOW, self._images(allowed), having=_FRONTEND)
            refused = (pattern.refused_images for pattern in frontends.deny)
            yield from _all(Action.DENY, refused, having=_FRONTEND)
        if images.deny:
            yield from _all(Action.DENY, [refused_images(images.deny)])
        if self.policy.digests is Digests.REQUIRED:
            yield from _all(Action.DENY, [_WITHOUT_DIGEST])

    def _images(self, patterns: Sequence[SourcePattern]) -> Iterator[str]:
        """Yield the expressions for images of *patterns*: all of them, or those that are pinned."""
        if self.policy.digests is not Digests.PINNED:
            yield from (pattern.images for pattern in patterns)
            return
        for name, digest in self.policy.pins.items():
            if _fitting(_IMAGE + name, patterns, "images"):
                untagged = name.rpartition(":")[0]
                yield from (re.escape(f"{_IMAGE}{each}@{digest}") for each in (name, untagged))

    def _image_refusal(self, source: str) -> str:
        policy = self.policy
        if why := _refusing_list("images", policy.images, source, "images"):
            return why
        if _fitting(source, self.others, "refused_images") and not _fitting(
            source, self.own, "images"
        ):
            return "another tenant pushes there, and no policy.images.allow names it for you"
        digest = source.partition("@")[2]
        if policy.digests is Digests.PINNED and digest not in policy.pins.values():
            found = "another digest" if digest else "none"
            return f'policy.digests is "pinned", and policy.pins has {found} for it'
        if policy.digests is Digests.REQUIRED and not digest:
            return 'policy.digests is "required", so "@sha256:" and a digest must end its name'
        if why := _refusing_list("frontends", self._frontends, source, "images"):
            return f"{why}, and it is to read the Dockerfile"
        return _UNCLEAR


# Of a source that the daemon refused, though it looks allowed here.
_UNCLEAR = "the policy has no rule that allows it"


def _all(
    action: Action, patterns: Iterable[str], having: dict[str, str] | None = None
) -> Iterator[SourceRule]:
    for pattern in patterns:
        yield SourceRule(action=action, pattern=pattern, having=having or {})


def _refusing_list(name: str, sources: Sources, source: str, kind: str) -> str:
    """Return how the list *name* refuses *source*, or nothing; *kind* is that of its expressions."""
    if refusing := _fitting(source, sources.deny, f"refused_{kind}"):
        return f"policy.{name}.deny has {quoted(refusing.text)}"
    if _fitting(source, sources.allowed, kind):
        return ""
    texts = [quoted(pattern.text) for pattern in sources.allowed]
    shown = ", ".join(texts[:_MOST_SHOWN]) + (" and more" if len(texts) > _MOST_SHOWN else "")
    return f"policy.{name}.allow has {f'{shown} alone' if shown else 'nothing'}"


def _fitting(source: str, patterns: Iterable[SourcePattern], kind: str) -> SourcePattern | None:
    """Return the first of *patterns* that *source* fits."""
    return next((each for each in patterns if re.fullmatch(getattr(each, kind), source)), None)
