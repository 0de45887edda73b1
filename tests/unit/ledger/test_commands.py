"""A command's body says what was asked, wherever and whenever it was built."""

import pickle

from msgspec.structs import replace

from events.account import Paid
from events.job import Failure, Video
from events.payment import MoneyFacts
from ledger import commands as c
from ledger.payments import commands as p
from tests.support.each import each

COMMANDS = [
    c.OpenAccount("a", "0" * 64),
    c.GrantCredits("a", 5, "purchase", "pack", paid=Paid(39_000, "RUB")),
    c.RevokeCredits("a", 1, "x"),
    c.OrderVideos("a", "o", ("j",), 1, "m", "ugc", "p", "b", "ru", 900),
    c.FailJob("j", "a", "monitor", Failure("timeout")),
]


@each("command", COMMANDS)
def test_the_same_command_from_another_process_has_the_same_body(command: c.Command):
    assert c.body(pickle.loads(pickle.dumps(command))) == c.body(command)


def test_a_field_with_its_default_leaves_no_trace():
    assert (
        c.body(c.RevokeCredits("a", 1, "x")) == b'["RevokeCredits",{"account":"a","amount":1,"reason":"x"}]'
    )
    assert c.body(c.RevokeCredits("a", 1, "x", kind="".join(["man", "ual"]))) == c.body(  # type: ignore[arg-type]
        c.RevokeCredits("a", 1, "x")
    )


def test_what_one_observer_knows_and_another_does_not_is_no_part_of_it():
    video = Video("v.mp4", "ab", 1)
    for command in (
        c.SucceedJob("j", 1, 1, video),
        c.FailSubmission("j", "a", 1, 1, Failure("transient")),
        p.SettlePayment("p", "a", "yookassa", "y", 1, "RUB", "s", False),
        p.RecordRefund("p", "a", "yookassa", "y", "r", 1),
    ):
        names = {"charged_milli": 61_000, "facts": MoneyFacts(7), "kind": "cabinet"}
        known = {name: value for name, value in names.items() if hasattr(command, name)}
        assert known and c.body(replace(command, **known)) == c.body(command)


def test_anything_else_is_another_body():
    bodies = {
        c.body(command)
        for command in (
            c.RevokeCredits("a", 1, "x"),
            c.RevokeCredits("b", 1, "x"),
            c.RevokeCredits("a", 2, "x"),
            c.RevokeCredits("a", 1, "x", kind="fraud"),
            c.GrantCredits("a", 1, "manual", "x"),
        )
    }
    assert len(bodies) == 5
