"""Whether an entry of a job is in somebody's hands, or will be."""

from services.maintenance.orphaned_jobs import Entry, Streams, is_reachable
from tests.support.each import each

NOBODY, PENDING, THERE = Entry(False, False), Entry(True, False), Entry(False, True)


@each(
    ("entry", "delivered", "reaches"),
    [
        (THERE, 4, True),  # still to be delivered
        (THERE, 5, False),  # delivered, and in nobody's hands
        (NOBODY, 4, False),  # deleted before it was delivered
        (NOBODY, 9, False),
        (PENDING, 9, True),  # also when it was trimmed
        (Entry(True, True), 9, True),
        (NOBODY, None, True),  # without a group all is given again
    ],
)
def test_who_will_be_given_an_entry(entry: Entry, delivered: int | None, reaches: bool) -> None:
    assert is_reachable((5,), Streams(9, delivered, {5: entry})) == reaches


def test_one_entry_of_several_is_enough_and_what_is_not_published_yet_will_be() -> None:
    lost = {5: NOBODY, 8: NOBODY}
    assert not is_reachable((5, 8), Streams(8, 8, lost))
    assert is_reachable((5, 8), Streams(8, 8, lost | {5: PENDING})), "after a wipe there is the first one"
    assert is_reachable((5, 8), Streams(8, 6, lost | {8: THERE}))
    assert is_reachable((5, 8), Streams(7, 6, lost)), "the relay is behind"
