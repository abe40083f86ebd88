"""Pure. Rules for what a build may read, which the daemon itself applies to every source of every graph.

So they hold for all that names a source, however hidden: FROM, COPY --from, ADD, `# syntax=`, ONBUILD, and
the graphs of a frontend that is an image of its own (moby/buildkit v0.32.2 sourcepolicy/engine.go). Of all
rules that fit a source the last decides; a conversion has all of them begin again with what it makes.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ...pb import sourcepolicy_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# In place of an attribute's value: the id of the build's own session.
OWN_SESSION = "<own session>"

_VERSION = 1


class Action(enum.Enum):
    ALLOW = pb.PolicyAction.ALLOW
    DENY = pb.PolicyAction.DENY
    CONVERT = pb.PolicyAction.CONVERT


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRule:
    """One rule for the sources whose whole identifier *pattern* matches, by Go's syntax of expressions.

    It is for those alone whose attributes have the values of *having*, and not those of *without*: one that a
    source does not have is empty. *identifier* and *attrs* are what a conversion sets.
    """

    action: Action
    pattern: str
    having: Mapping[str, str] = field(default_factory=dict)
    without: Mapping[str, str] = field(default_factory=dict)
    identifier: str = ""
    attrs: Mapping[str, str] = field(default_factory=dict)


def policy_bytes(rules: Iterable[SourceRule], session_id: str) -> bytes:
    """Return *rules* as the daemon takes them; nothing if there are none."""
    found = [_rule(rule, session_id) for rule in rules]
    return pb.Policy(version=_VERSION, rules=found).SerializeToString() if found else b""


def _rule(rule: SourceRule, session_id: str) -> pb.Rule:
    constraints = [
        pb.AttrConstraint(
            key=key, value=session_id if value is OWN_SESSION else value, condition=condition
        )
        for values, condition in (
            (rule.having, pb.AttrMatch.EQUAL),
            (rule.without, pb.AttrMatch.NOTEQUAL),
        )
        for key, value in values.items()
    ]
    selector = pb.Selector(
        identifier=rf"\A(?:{rule.pattern})\z",
        match_type=pb.MatchType.REGEX,
        constraints=constraints,
    )
    if rule.action is not Action.CONVERT:
        return pb.Rule(action=rule.action.value, selector=selector)
    # The daemon takes no identifier for the selector's, which is an expression; "${0}" is what it matched.
    updates = pb.Update(identifier=rule.identifier.replace("$", "$$") or "${0}", attrs=rule.attrs)
    return pb.Rule(action=rule.action.value, selector=selector, updates=updates)
