"""A command's body says what was asked, wherever and whenever it was built."""

import pickle

from events.account import Paid
from events.job import Failure
from ledger import commands as c
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
