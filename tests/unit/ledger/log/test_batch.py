"""A batch: one after another on copies; a bad command leaves no trace; the same key joins the first."""

import asyncio
from hashlib import sha256

from events import codec
from events.envelope import GENESIS, GENESIS_HASH
from events.job import Failure
from ledger import commands as c
from ledger.decider import fold, initial, streams_read
from ledger.errors import (
    AlreadyExistsError,
    InsufficientCreditsError,
    InvalidCommandError,
    KeyReusedError,
    LedgerError,
)
from ledger.log import batch as batch_module
from ledger.log import hash_chain
from ledger.log.batch import NOTHING_TO_DO, BatchDecider, Pending, Receipt
from ledger.log.hash_chain import follows
from tests.support.each import each


def decided(*asked: tuple[str, c.Command], known=None):
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
    return BatchDecider(GENESIS, 10, states, {}).decide_all(pending)


OPEN = ("open", c.OpenAccount("a", "0" * 64))
TERMS = ("terms", c.AcceptTerms("a", "1", 2))


def order(key: str, *jobs: str):
    return key, c.OrderVideos("a", key, jobs, 1, "m", "ugc", "p", "b", "ru", 900)


def test_later_commands_see_what_earlier_ones_made():
    result = decided(OPEN, TERMS, order("o1", "j1"), order("o2", "j2"), order("o3", "j3"))
    assert result.answers[:4] == [Receipt(1, 1, 10), Receipt(2, 2, 10), Receipt(4, 2, 10), Receipt(6, 2, 10)]
    assert isinstance(result.answers[4], InsufficientCreditsError)
    assert [row.position for row in result.rows] == list(range(1, 8))
    assert [row.version for row in result.rows if row.stream == "account-a"] == [1, 2, 3, 4, 5]
    previous = GENESIS_HASH
    for row in result.rows:
        assert follows(previous, row)
        previous = row.hash
    assert result.cursor.hash == previous


def test_the_first_event_of_a_command_carries_the_key():
    result = decided(OPEN, TERMS)
    assert [(row.key, row.command_events) for row in result.rows] == [("open", 1), ("terms", 2), (None, None)]


def test_the_same_key_in_one_batch_is_one_command():
    result = decided(OPEN, TERMS, order("o1", "j1"), order("o1", "j1"), ("o1", c.OpenAccount("a", "0" * 64)))
    assert result.answers[2] == result.answers[3]
    assert isinstance(result.answers[4], KeyReusedError)
    assert len(result.rows) == 5


def test_a_rejection_uses_up_no_key():
    result = decided(OPEN, order("o1", "j1"), TERMS, order("o1", "j1"))
    assert isinstance(result.answers[1], Exception)
    assert isinstance(result.answers[3], Receipt)


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
    assert isinstance(result.answers[3], Receipt)
    assert not any("bad" in row.data + row.stream for row in result.rows)
    assert set(result.opened) == {"j1", "j2"}


def test_a_decision_that_raises_what_no_future_takes_is_an_error_all_the_same(monkeypatch):
    def decide(*args):
        raise StopIteration

    monkeypatch.setattr(batch_module, "decide", decide)
    assert [type(answer) for answer in decided(OPEN).answers] == [LedgerError]


def test_a_hash_that_cannot_be_made_leaves_no_half_of_a_command(monkeypatch):
    def event_hash(previous, position, stream, *others):
        if stream == "job-bad":
            raise UnicodeError("boom")
        return hash_chain.event_hash(previous, position, stream, *others)

    monkeypatch.setattr(batch_module, "event_hash", event_hash)
    result = decided(OPEN, TERMS, order("o1", "bad"), order("o2", "j1"))
    assert isinstance(result.answers[2], LedgerError)
    assert [row.position for row in result.rows] == [1, 2, 3, 4, 5]
    assert [row.stream for row in result.rows[3:]] == ["account-a", "job-j1"]
    assert result.states["account-a"] == decided(OPEN, TERMS, order("o2", "j1")).states["account-a"]


@each("job", ["two\x1fnames", "two\nlines", "x" * 300])
def test_what_cannot_name_a_stream_is_that_command_s_error(job: str):
    result = decided(OPEN, TERMS, order("o1", job), order("o2", "j1"))
    assert isinstance(result.answers[2], InvalidCommandError)
    assert isinstance(result.answers[3], Receipt)
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
    assert [row.key for row in result.rows] == ["open"]


def test_an_ended_job_is_no_longer_open():
    queue = order("o1", "j1")
    first = decided(OPEN, TERMS, queue)
    known = {row.stream: (0, initial(row.stream)) for row in first.rows}
    for row in first.rows:
        version, state = known[row.stream]
        known[row.stream] = (version + 1, fold(state, row.type, row.data))
    known["job-j1"] = (1, fold(initial("job-j1"), "JobQueued", first.rows[-1].data))
    ended = decided(("f", c.FailJob("j1", "a", "operator", Failure("timeout"))), known=known)
    assert ended.ended == ["j1"]
    assert ended.opened == {}
