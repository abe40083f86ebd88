from __future__ import annotations

from function.buildkit import OWN_SESSION, Action, SolveSpec, SourceRule
from function.buildkit.solve.request import solve_request
from function.pb import sourcepolicy_pb2 as pb


def sent(*rules: SourceRule) -> pb.Policy:
    request = solve_request(SolveSpec(ref="r", source_policy=rules), "the session's id")
    return pb.Policy.FromString(request.SourcePolicy)


def test_a_build_without_rules_sends_no_policy() -> None:
    assert solve_request(SolveSpec(ref="r"), "s").SourcePolicy == b""


def test_a_rule_is_for_the_whole_identifier() -> None:
    [rule] = sent(SourceRule(action=Action.DENY, pattern="a|b")).rules

    assert rule.action == pb.PolicyAction.DENY
    assert rule.selector.match_type == pb.MatchType.REGEX
    assert rule.selector.identifier == r"\A(?:a|b)\z"


def test_rules_keep_their_order() -> None:
    rules = [SourceRule(action=action, pattern="a") for action in (Action.DENY, Action.ALLOW)]

    assert [rule.action for rule in sent(*rules).rules] == [
        pb.PolicyAction.DENY,
        pb.PolicyAction.ALLOW,
    ]


def test_attributes_are_constraints_and_the_own_session_stands_for_its_id() -> None:
    [rule] = sent(
        SourceRule(
            action=Action.ALLOW,
            pattern="a",
            having={"local.session": OWN_SESSION},
            without={"git.bundle": ""},
        )
    ).rules

    assert [(each.key, each.value, each.condition) for each in rule.selector.constraints] == [
        ("local.session", "the session's id", pb.AttrMatch.EQUAL),
        ("git.bundle", "", pb.AttrMatch.NOTEQUAL),
    ]


def test_a_conversion_of_attributes_alone_keeps_what_was_matched() -> None:
    [rule] = sent(SourceRule(action=Action.CONVERT, pattern="a.*", attrs={"b": "c"})).rules

    assert (rule.updates.identifier, dict(rule.updates.attrs)) == ("${0}", {"b": "c"})


def test_a_converted_identifier_is_taken_as_it_is_written() -> None:
    [rule] = sent(SourceRule(action=Action.CONVERT, pattern="a", identifier="b$1")).rules

    assert rule.updates.identifier == "b$$1"
