"""The picture of a payment's states in the docs is the one that the rules make."""

import re
from pathlib import Path

from tests.support.payment_diagram import diagram, edges

DOC = (Path(__file__).parents[4] / "docs" / "ledger.md").read_text(encoding="utf-8")
HAS_COME = {"succeeded", "flagged", "refunding", "refunded_partly", "refunded"}


def test_the_diagram_in_the_docs_is_what_the_rules_allow():
    (shown,) = re.findall(r"```mermaid\n(.*?)\n```", DOC, flags=re.S)
    assert shown == diagram(), "make it anew: python -m tests.support.payment_diagram"


def test_no_way_leads_back_from_money_that_has_come():
    assert {b for a, _, b in edges() if a in HAS_COME} <= HAS_COME


def test_money_is_credited_from_wherever_it_had_not_come():
    ways = {a for a, what, b in edges() if "PaymentSucceeded" in what and b == "succeeded"}
    assert ways == {"[*]", "ordered", "pending", "cancelled", "expired", "flagged"}
