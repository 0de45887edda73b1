"""A batch: one after another on copies; a bad command leaves no trace."""

import asyncio
from hashlib import sha256

from events import codec
from ledger import commands as c
from ledger.decider import fold, initial, streams_read
from ledger.errors import (
    AlreadyExistsError,
    InsufficientCreditsError,
    InvalidCommandError,
    LedgerError,
)
from ledger.log import batch as batch_module
from ledger.log.batch import NOTHING_TO_DO, ROWS_MAX, Decided, Pending, Receipt, Written, decide_batch
from tests.support.each import each


def decided(*asked: tuple[str, c.Command], known=None) -> Decided:
    loop = asyncio.new_event_loop()
    try:
        pending = [
            Pending(
                command, key, sha256(c.body(command)).digest(), streams_read(command), loop.create_future()
            )
            for key, command in asked
        ]
    finally:
        loop.close()
    states = {s: (0, initial(s)) for p in pending for s in p.reads} | (known or {})
    return decide_batch(pending, states, 10)


OPEN = ("open", c.OpenAccount("a", "0" * 64))
TWICE = ("twice", OPEN[1])
TERMS = ("terms", c.AcceptTerms("a", "1", 2))


def order(key: str, *jobs: str):
    return key, c.OrderVideos("a", key, jobs, 1, "m", "ugc", "p", "b", "ru", 900)


def test_later_commands_see_what_earlier_ones_made():
    result = decided(OPEN, TERMS, order("o1", "j1"), order("o2", "j2"), order("o3", "j3"))
    assert result.answers[:4] == [Written(0, 1), Written(1, 2), Written(3, 2), Written(5, 2)]
    assert isinstance(result.answers[4], InsufficientCreditsError)
    assert result.counts == [1, 2, 2, 2, 0]
    assert [row.version for row in result.rows if row.stream == "account-a"] == [1, 2, 3, 4, 5]
    assert result.now_us == 10


def test_answers_have_their_places_once_the_last_row_has_one():
    result = decided(OPEN, TWICE, TERMS, order("o1", "j1"), order("o2", "j2", "j3"))
    *receipts, refused = result.answers_at(105, 99)
    assert receipts == [Receipt(101, 1, 99), NOTHING_TO_DO, Receipt(102, 2, 99), Receipt(104, 2, 99)]
    assert isinstance(refused, InsufficientCreditsError)
    assert decided(TWICE, known=result.states).answers_at(105, 99) == [NOTHING_TO_DO]


def test_the_commands_of_rows_are_found_across_those_that_made_none():
    result = decided(OPEN, TWICE, TERMS, order("o1", "j1"), order("o9", "j9", "j8"))
    assert result.counts == [1, 0, 2, 2, 0]
    assert [result.commands_of([row]) for row in range(5)] == [{0}, {2}, {2}, {3}, {3}]
    assert result.commands_of([0, 4]) == {0, 3}
    assert result.commands_of([]) == set()


def test_a_batch_ends_with_the_command_that_fills_it():
    opened = [(f"open{n}", c.OpenAccount(f"a{n}", "0" * 64)) for n in range(ROWS_MAX + 5)]
    result = decided(*opened)
    assert len(result.answers) == len(result.counts) == len(result.rows) == ROWS_MAX


def test_a_rejection_uses_up_no_key():
    result = decided(OPEN, order("o1", "j1"), TERMS, order("o1", "j1"))
    assert isinstance(result.answers[1], Exception)
    assert isinstance(result.answers[3], Written)


def test_a_decision_that_raises_leaves_no_trace(monkeypatch):
    real = codec.encode

    def encode(event):
        if getattr(event, "job", "") == "bad2":
            raise RuntimeError("boom")
        return real(event)

    monkeypatch.setattr(batch_module, "encode", encode)
    result = decided(OPEN, TERMS, order("o1", "bad1", "bad2"), order("o2", "j1", "j2"))
    assert isinstance(result.answers[2], LedgerError)
    assert "boom" in str(result.answers[2])
    assert result.answers[3] == Written(3, 4)
    assert not any("bad" in row.data + row.stream for row in result.rows)
    assert [row.stream for row in result.rows[3:]] == ["account-a", "job-j1", "account-a", "job-j2"]
    assert result.states["account-a"] == decided(OPEN, TERMS, order("o2", "j1", "j2")).states["account-a"]


def test_a_decision_that_raises_what_no_future_takes_is_an_error_all_the_same(monkeypatch):
    def decide(*args):
        raise StopIteration

    monkeypatch.setattr(batch_module, "decide", decide)
    assert [type(answer) for answer in decided(OPEN).answers] == [LedgerError]


def test_a_job_whose_stream_cannot_be_named_leaves_no_half_of_a_command():
    result = decided(OPEN, TERMS, order("o1", "bad\n"), order("o2", "j1"))
    assert isinstance(result.answers[2], LedgerError)
    assert [row.stream for row in result.rows[3:]] == ["account-a", "job-j1"]
    assert result.states["account-a"] == decided(OPEN, TERMS, order("o2", "j1")).states["account-a"]


@each("job", ["two\x1fnames", "two\nlines", "x" * 300])
def test_what_cannot_name_a_stream_is_that_command_s_error(job: str):
    result = decided(OPEN, TERMS, order("o1", job), order("o2", "j1"))
    assert isinstance(result.answers[2], InvalidCommandError)
    assert isinstance(result.answers[3], Written)
    assert len(result.rows) == 5


def test_states_are_those_of_the_streams_that_were_written():
    """What was only read stands in none of the rows, and nobody may look for it there."""
    result = decided(OPEN, ("open2", c.OpenAccount("b", "0" * 64, invited_by="a")))
    assert set(result.states) == {"account-a", "account-b"}
    known = {"account-a": result.states["account-a"]}
    alone = decided(("open2", c.OpenAccount("b", "0" * 64, invited_by="a")), known=known)
    assert set(alone.states) == {"account-b"}


def test_a_job_can_be_made_only_once():
    known = {
        "account-a": (
            2,
            fold(fold(initial("account-a"), "AccountOpened", "{}"), "TermsAccepted", '{"terms":"1"}'),
        )
    }
    grant = ("g", c.GrantCredits("a", 9, "manual", "x"))
    result = decided(grant, order("o1", "j1"), order("o2", "j1"), known=known)
    assert isinstance(result.answers[2], AlreadyExistsError)
    assert result.states["account-a"][0] == 4


def test_nothing_to_do_is_an_answer_and_uses_up_no_key():
    result = decided(OPEN, ("open2", c.OpenAccount("a", "0" * 64)))
    assert result.answers[1] == NOTHING_TO_DO
    assert result.counts == [1, 0]
