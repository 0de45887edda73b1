"""The table of error classes: complete, and with the actions that were decided on."""

from typing import get_args

from services.adapters.kie.failures import CREATE_FAILED, RULES, UNCLASSIFIED
from services.generation.error_classes import POLICIES, ErrorClass, policy_for
from tests.support.each import each

ACTIONS = {
    "retries": {"transient", "rate_limited"},
    "rests_key": {"provider_auth", "provider_balance"},
    "pauses_model": {"model_paused"},
    "alarms": {"our_fault", "provider_auth", "provider_balance", "model_paused", "poison"},
    "parks": {"our_fault", "result_broken", "poison", "unclassified"},
}


def test_every_class_has_a_policy_with_words_and_no_other_has() -> None:
    assert tuple(POLICIES) == get_args(ErrorClass)
    assert all(policy.happened and policy.advice for policy in POLICIES.values())


@each("action", ACTIONS)
def test_who_is_treated_how(action: str) -> None:
    assert {name for name, policy in POLICIES.items() if getattr(policy, action)} == ACTIONS[action]


def test_what_the_provider_can_say_has_a_policy() -> None:
    assert {rule.error_class for rule in (*RULES, CREATE_FAILED, UNCLASSIFIED)} <= set(POLICIES)


def test_a_class_of_a_later_version_is_unclassified() -> None:
    assert policy_for("from tomorrow") == POLICIES["unclassified"]
