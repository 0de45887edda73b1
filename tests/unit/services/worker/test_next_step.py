"""The next step, out of the state alone."""

from msgspec.structs import replace

from events.job import Failure, JobQueued, PromptWritten
from ledger import commands as c
from ledger.jobs.state import JobState, Submission
from ledger.log.batch import Receipt
from services.worker import next_step as plan
from services.worker.next_step import after, next_step
from tests.support.each import each

DEADLINE_US = 1000
QUEUED = JobQueued("a1", "o1", 1, 1, 1, "m", "ugc", "photos/p.jpg", "b1", "ru", DEADLINE_US)
PROMPT = PromptWritten(1, "prompt-j1", "openai", "ugc@1")
NEW = JobState(account="a1", price=1, queued=QUEUED)
STARTED = replace(NEW, run=1, worker="w", run_open=True)
PROMPTED = replace(STARTED, prompt=PROMPT, progressed=True)
UNKNOWN = Submission(1, "k1", "m")
RUNNING = Submission(1, "k1", "m", "t1")
REFUSED = Submission(1, "k1", "m", None, Failure("transient"))

STEPS = [
    (NEW, None, plan.Start(1)),
    (STARTED, 1, plan.WritePrompt()),
    (PROMPTED, 1, plan.Submit(1)),
    (replace(PROMPTED, submissions=(UNKNOWN,)), 1, plan.AwaitCallback(UNKNOWN)),
    (replace(PROMPTED, submissions=(RUNNING,)), 1, plan.PollTask(RUNNING)),
    (replace(PROMPTED, submissions=(REFUSED,), retry_at_us=600), 1, plan.WaitForRetry(600)),
    (replace(PROMPTED, submissions=(REFUSED,), retry_at_us=500), 1, plan.Submit(2)),
    # Another run takes over whatever there is.
    (replace(PROMPTED, submissions=(UNKNOWN,)), None, plan.Start(2)),
    (replace(STARTED, run=2), 1, plan.LostLease()),
    (replace(STARTED, run_open=False), 1, plan.LostLease()),
    (replace(PROMPTED, outcome="succeeded"), 1, plan.Done()),
    (replace(NEW, outcome="failed"), None, plan.Done()),
    (JobState(), None, plan.Missing()),
    (replace(STARTED, broken="a type from the future"), 1, plan.Unreadable()),
    (replace(NEW, crashes=5), None, plan.Poisoned()),
    (replace(STARTED, crashes=4), None, plan.Poisoned()),
    (replace(PROMPTED, crashes=4), None, plan.Start(2)),
]


@each(("state", "run", "step"), STEPS)
def test_steps(state: JobState, run: int | None, step: plan.Step) -> None:
    assert next_step(state, run, 500) == step


LATE = [
    (NEW, None, "not_submitted"),
    (replace(PROMPTED, submissions=(UNKNOWN,)), 1, "outcome_unknown"),
    (replace(PROMPTED, submissions=(RUNNING,)), 1, "no_result"),
    (replace(PROMPTED, submissions=(REFUSED,)), 1, "not_submitted"),
]


@each(("state", "run", "code"), LATE)
def test_at_the_deadline_it_ends(state: JobState, run: int | None, code: str) -> None:
    assert next_step(state, run, DEADLINE_US) == plan.TimeOut(code)


def test_the_state_after_a_command_is_what_the_decider_makes() -> None:
    command = c.StartJob("j1", 1, "w")
    assert after(NEW, command, Receipt(7, 1, 500)) == STARTED
    refuse = c.FailSubmission("j1", "a1", 1, 1, Failure("transient"), retry_at_us=900)
    state = after(replace(PROMPTED, submissions=(RUNNING,)), refuse, Receipt(7, 2, 500))
    assert state is not None and state.retry_at_us == 900 and state.live_submission is None


def test_what_cannot_be_foreseen_is_read() -> None:
    assert after(NEW, c.StartJob("j1", 1, "w"), Receipt(0, 0, 0)) is None
    assert after(NEW, c.StartJob("j1", 1, "w"), Receipt(7, 2, 500)) is None
    assert after(STARTED, c.StartJob("j1", 1, "w"), Receipt(7, 1, 500)) is None
    assert after(NEW, c.OpenAccount("a1", "0" * 64), Receipt(7, 1, 500)) is None
