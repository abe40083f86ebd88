"""Pure. Restricts one build: what it may ask for, what the daemon is told, and how a refusal is explained.

The policy is the operator's for all, narrowed by the tenant's own. Where a tenant's cache is isolated, its
steps have a host name of its own, which stands in the cache key of each and in no image, and its cache mounts
a namespace of its own. Both are frontend attributes, so only a frontend that is known to keep them may make
the graph: BuildKit's own, which then also reads what asks for the same one as an image.
"""

from __future__ import annotations

import hashlib
import re
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property, reduce
from typing import TYPE_CHECKING

from ..buildkit import Action, FailedStep
from ..errors import ConfigError, PolicyRefused
from ..quoting import quoted
from ..registry.reference import Reference
from . import dockerfile_lines
from .platforms import normal_platform
from .policy import Policy
from .source_patterns import SourcePattern
from .source_rules import SourceLimits
from .tenant import ISOLATED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..buildkit import SourceRule
    from ..errors import BuilderError
    from ..request.options import BuildConfig
    from .principal import Principal

_BUILD_ARG = "build-arg:"
_SYNTAX = "BUILDKIT_SYNTAX"
# Frontend attributes (moby/buildkit v0.32.2 frontend/dockerui/config.go).
_HOSTNAME = "BUILDKIT_SANDBOX_HOSTNAME"
_CACHE_NAMESPACE = "BUILDKIT_CACHE_MOUNT_NS"
_NO_NETWORK = {"force-network-mode": "none"}
_CPU_PERIOD = 100_000  # microseconds, the kernel's own default
# With it the daemon's own frontend does not look for another one (frontend/dockerfile/builder/build.go).
_OWN_FRONTEND = "cmdline"

# The image of the frontend that BuildKit has built in.
_BUILT_IN = "docker.io/docker/dockerfile"
# Its experiments are not built in.
_EXPERIMENTS = "labs"

_NAMESPACE_DIGITS = 32
_USER = re.compile(r"(?<=://)[^/?#@]*@")


@dataclass(frozen=True, kw_only=True)
class Restrictions:
    """Holds one build to all that restricts it; *namespace* is that of an isolated cache, else nothing.

    Where its cache or another tenant's is isolated, *caches_are_apart*: it must not name its way into another
    one. Nor may it read what *others* push, other than what is its *own* as well.
    """

    policy: Policy = field(default_factory=Policy)
    namespace: str = ""
    caches_are_apart: bool = False
    own: tuple[SourcePattern, ...] = ()
    others: tuple[SourcePattern, ...] = ()

    @classmethod
    def of(cls, principal: Principal) -> Restrictions:
        policy = reduce(Policy.narrowed, principal.policies, Policy())
        tenant = principal.tenant
        if tenant is None:
            return cls(policy=policy)
        isolated = tenant.cache == ISOLATED
        return cls(
            policy=policy,
            namespace=namespace_of(tenant.name) if isolated else "",
            caches_are_apart=isolated or principal.others_are_isolated,
            own=tuple(map(SourcePattern.from_image, tenant.images)),
            others=tuple(map(SourcePattern.from_image, principal.others)),
        )

    def require(self, config: BuildConfig) -> None:
        """Refuse what a request asks for against the policy. Raises PolicyRefused."""
        if self.caches_are_apart:
            for name in (_HOSTNAME, _CACHE_NAMESPACE):
                if name in config.build_args:
                    raise PolicyRefused(
                        f"The build argument {name} is the builder's own here: it keeps tenants' caches "
                        f"apart. Leave it out. {self._whom()}"
                    )
        allowed = self.policy.platforms
        if allowed is None:
            return
        for platform in config.platforms:
            if normal_platform(platform) not in allowed:
                raise PolicyRefused(
                    f"The build is not allowed for {platform}: policy.platforms has "
                    f"{', '.join(allowed) or 'nothing'}. {self._whom()}"
                )
        if not allowed:
            raise PolicyRefused(
                f"The build is not allowed for any platform: the policy leaves none. {self._whom()}"
            )

    def require_frontend(self, config: BuildConfig, dockerfile: bytes) -> None:
        """Refuse an image that is to read the Dockerfile and may not. Raises PolicyRefused.

        No registry is asked for it then. One that is not found here the daemon refuses, once it has found it.
        """
        syntax, line = self._syntax(config, dockerfile)
        if self._is_stood_in_for(syntax):
            return
        with suppress(ConfigError):  # the daemon will say what is wrong with it
            source = f"docker-image://{canonical(Reference.parse(syntax))}"
            if self._sources.refuses_frontend(source):
                step = FailedStep(name="", file=config.dockerfile, line=line)
                refused = PolicyRefused("", step if line else None, source=source)
                raise self.cause_of(refused, config, dockerfile)

    def frontend_attrs(self, config: BuildConfig, dockerfile: bytes) -> Mapping[str, str]:
        """Return what the frontend is told beside, and whatever, the request asks for."""
        policy = self.policy
        found: dict[str, str] = {}
        if self.namespace:
            found |= {_BUILD_ARG + name: self.namespace for name in (_HOSTNAME, _CACHE_NAMESPACE)}
        if not policy.network:
            found |= _NO_NETWORK
        if policy.memory is not None:
            found |= {"memory": str(policy.memory), "memswap": str(policy.memory)}
        if policy.cpus is not None:
            quota = round(policy.cpus * _CPU_PERIOD)
            found |= {"cpuperiod": str(_CPU_PERIOD), "cpuquota": str(quota)}
        if policy.platforms and len(policy.platforms) == 1 and not config.platforms:
            found["platform"] = policy.platforms[0]
        syntax, _ = self._syntax(config, dockerfile)
        if self._is_stood_in_for(syntax):
            found[_OWN_FRONTEND] = syntax
        return found

    @cached_property
    def source_rules(self) -> tuple[SourceRule, ...]:
        """The rules that every source has to pass; none if all may be used."""
        return self._sources.rules()

    def refusal_of_image(self, image: Reference) -> str:
        """Return why a build may not be made from *image*, as the daemon will judge it; nothing if it may."""
        source = f"docker-image://{canonical(image)}"
        fitting = [rule for rule in self.source_rules if not (rule.having or rule.without)]
        for rule in fitting:
            if rule.action is Action.CONVERT and re.fullmatch(rule.pattern, source):
                source = rule.identifier
        actions = [rule.action for rule in fitting if re.fullmatch(rule.pattern, source)]
        refused = actions[-1:] == [Action.DENY]
        return self._sources.refusal(source) if refused else ""

    def cause_of(
        self, failure: BuilderError, config: BuildConfig, dockerfile: bytes
    ) -> BuilderError:
        """Return *failure*; of a source that the daemon refused, say by which rule, and where it stands."""
        if not isinstance(failure, PolicyRefused) or not failure.source:
            return failure
        step = failure.failed_step or FailedStep(name="")
        if step.line is None:
            line = dockerfile_lines.line_of(failure.source, dockerfile, config.build_args)
            step = replace(step, file=config.dockerfile, line=line)
        where = f" ({step.file}:{step.line})" if step.line is not None else ""
        why = self._sources.refusal(failure.source)
        shown = _USER.sub("", failure.source.removeprefix("docker-image://"))
        return PolicyRefused(
            f"The build may not use {quoted(shown)[1:-1]}{where}: {why}. {self._whom()}",
            step if step.line is not None else failure.failed_step,
            source=failure.source,
        )

    @property
    def limit_steps(self) -> bool:
        """Tell whether a step may use only so much memory or so many processors."""
        return self.policy.memory is not None or self.policy.cpus is not None

    @property
    def _sources(self) -> SourceLimits:
        """Return what the build may read.

        The daemon asks no registry for an image that it has, if it is named by its digest: so places where
        others push are closed, and with them a whole registry where this one pushes nothing. Where the
        operator has written out what may be used, that counts instead.
        """
        written_out = self.policy.images.allow is not None
        registries = {each.host for each in self.own}
        places = (
            ()
            if written_out
            else tuple(
                each for each in self.others if each.is_place or each.is_registry_beside(registries)
            )
        )
        return SourceLimits(
            policy=self.policy, guarded=self._is_guarded, own=self.own, others=places
        )

    @property
    def _is_guarded(self) -> bool:
        return self.caches_are_apart or not self.policy.network or self.limit_steps

    def _syntax(self, config: BuildConfig, dockerfile: bytes) -> tuple[str, int | None]:
        """Return the image that is asked to read the Dockerfile, and the line that does so."""
        argument = config.build_args.get(_SYNTAX)
        if not argument:
            return dockerfile_lines.syntax_of(dockerfile)
        return argument.strip().partition(" ")[0], None  # what follows it is for that image

    def _is_stood_in_for(self, syntax: str) -> bool:
        """Tell whether BuildKit's own frontend is used though *syntax* asks for an image."""
        if not self._is_guarded or self.policy.frontends is not None:
            return False
        try:
            reference = Reference.parse(syntax)
        except ConfigError:
            return False
        return (
            reference.name == _BUILT_IN
            and _EXPERIMENTS not in reference.tag
            and self._sources.allows_image(str(reference))
        )

    def _whom(self) -> str:
        return (
            f"Ask {self.policy.contact or 'the operator of the builder'} if it should be allowed."
        )


def canonical(image: Reference) -> str:
    """Return the name that the daemon gives *image*."""
    tag = image.tag or ("" if image.digest else "latest")
    return f"{image.name}{tag and f':{tag}'}{image.digest and f'@{image.digest}'}"


def namespace_of(tenant: str) -> str:
    """Return the name that stands for a tenant in cache keys, which shows in its steps as their host name."""
    said = f"builder-fn cache of {tenant}"
    return hashlib.sha256(said.encode()).hexdigest()[:_NAMESPACE_DIGITS]
