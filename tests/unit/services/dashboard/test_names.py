"""Every state, stage, kind and class that pages show has a name, so the Russian pages are in Russian."""

from itertools import chain
from typing import get_args

from events.account import GrantKind
from events.codec import EVENT_TYPES
from projections.models import job_status, payments
from services.dashboard.names import NAMES, spoken
from services.generation.circuit_breaker import rules
from services.generation.error_classes import POLICIES
from services.notifier.expected_messages import Kind
from services.streams.status import Tail


def test_what_pages_show_has_a_name() -> None:
    literals = (GrantKind, job_status.State, payments.State, Kind, Tail, rules.State, rules.SetBy)
    shown = {*chain.from_iterable(map(get_args, literals)), *POLICIES}
    shown |= {event.stage for event in EVENT_TYPES.values()}
    assert sorted(value for value in shown if spoken(value) not in NAMES) == []
    assert spoken("refunded_partly") == "refunded partly" and spoken("a_new_one") == "a_new_one"
