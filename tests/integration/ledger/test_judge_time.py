"""Which clock is believed: the table of docs/decisions/log-door.md, each row with its bounds, in seconds."""

import pytest

NEAR = 60
DAY = 86_400
C = 1_000_000_000
"""The database's clock."""


@pytest.mark.parametrize(
    ("head", "wall", "witness", "outcome", "now", "believed"),
    [
        # C agrees with W or X: C; orders wait while the head is over 5 s ahead
        (C - 9, C, None, "ok", C, C),
        (C - 9, C - NEAR, None, "ok", C, C),
        (C - 9, C + NEAR, None, "ok", C, C),
        (C - 9, C - NEAR - 1, C - NEAR, "ok", C, C),
        (C - 9, C + 999_999, C + NEAR, "ok", C, C),
        (C - 9, None, C - NEAR, "ok", C, C),
        (C - 9 * DAY, None, C, "ok", C, C),
        (C + 5, C, None, "ok", C + 5, C),
        (C + 6, C, None, "later", C + 6, C),
        (C + 6, C, C, "later", C + 6, C),
        (C + 400 * DAY, C, C, "later", C + 400 * DAY, C),
        # W and X agree, C is ahead: W is stamped
        (C - 999, C - 100, C - 100, "ok", C - 100, C - 100),
        (C - 999, C - 100, C - 100 - NEAR, "ok", C - 100, C - 100),
        (C - 999, C - 100, C - 100 - NEAR - 1, "doubt", None, None),
        (C - 300 * DAY - 99, C - 300 * DAY, C - 300 * DAY, "ok", C - 300 * DAY, C - 300 * DAY),
        (C - 30, C - 100, C - 100, "ok", C - 30, C - 100),
        (C + 60, C - 100, C - 100, "later", C + 60, C - 100),
        # W and X agree, C is behind: nothing is stamped beyond C, and orders wait
        (C - 9, C + 100, C + 100, "later", C, C + 100),
        (C + 9, C + 100, C + 100, "later", C + 9, C + 100),
        (C + 200, C + 100, C + 100 + NEAR, "later", C + 200, C + 100),
        # C agrees with W, but X with neither: may be one machine; the earlier of C and X, orders wait
        (C - 9, C, C - 100, "later", C - 9, C - 100),
        (C - 999, C, C - 100, "later", C - 100, C - 100),
        (C - 9, C, C + 100, "later", C, C),
        # no W, no X: there is no other clock
        (0, None, None, "ok", C, C),
        (C - DAY, None, None, "ok", C, C),
        (C + 5, None, None, "ok", C + 5, C),
        (C + 6, None, None, "later", C + 6, C),
        # after a day without events nothing without a witness
        (C - DAY - 1, C, None, "gap", C, C),
        (C - 9 * DAY, None, None, "gap", C, C),
        (C - 9 * DAY, C, C - 4 * NEAR, "later", C - 4 * NEAR, C - 4 * NEAR),
        (C - 9 * DAY, C, C + 5 * NEAR + 1, "gap", C, C),
        (C - 9 * DAY, C, C + 5 * NEAR, "later", C, C),
        (C - 9 * DAY, C - NEAR, C - NEAR, "ok", C, C),
        (C - 400 * DAY, C - 300 * DAY, C - 300 * DAY, "ok", C - 300 * DAY, C - 300 * DAY),
        # otherwise nothing
        (C - 9, C + NEAR + 1, None, "doubt", None, None),
        (C - 9, C - NEAR - 1, None, "doubt", None, None),
        (C - 9, None, C + NEAR + 1, "doubt", None, None),
        (C - 9, None, C - NEAR - 1, "doubt", None, None),
        (C - 9, C + 100, C - 100, "doubt", None, None),
        (0, C + 100, C - 100, "doubt", None, None),
    ],
)  # fmt: skip
async def test_which_clock_is_believed(owner, head, wall, witness, outcome, now, believed):
    clocks = [None if second is None else second * 1_000_000 for second in (C, head, wall, witness)]
    judged = await owner.fetchrow("SELECT * FROM ledger.judge_time($1, $2, $3, $4)", *clocks)
    found = [None if us is None else us / 1_000_000 for us in (judged["now_us"], judged["believed_us"])]
    assert (judged["outcome"], *found) == (outcome, now, believed)


@pytest.mark.parametrize("wall", [None, -1, 0, 1])
@pytest.mark.parametrize("witness", [None, -1, 0, 1])
async def test_nothing_is_ever_stamped_beyond_the_database_s_clock_nor_below_the_head(owner, wall, witness):
    """Whatever a caller says of its clocks, from a year behind to a year ahead, in steps of every size."""
    found = await owner.fetchrow(
        """SELECT count(*) FILTER (WHERE now_us > greatest(c, h)) AS beyond,
                  count(*) FILTER (WHERE now_us < h) AS below,
                  count(*) FILTER (WHERE now_us IS NULL AND outcome <> 'doubt') AS nothing, count(*) AS all
           FROM (VALUES (0), (1), (30), (59), (61), (119), (3600), (86401), (31536000)) AS a (off),
                (VALUES (0), (1), (61), (3600), (31536000)) AS b (shift),
                (VALUES (-31536000), (-86401), (-3600), (-1), (0), (4), (6), (200), (31536000)) AS d (ahead),
                (VALUES (1000000000000000::bigint)) AS e (c),
                LATERAL (SELECT c + ahead * 1000000::bigint AS h) AS i,
                LATERAL ledger.judge_time(c, h, c + $1::int * off * 1000000::bigint,
                                          c + $2::int * (off + shift) * 1000000::bigint) AS j""",
        wall, witness,
    )  # fmt: skip
    assert (found["beyond"], found["below"], found["nothing"]) == (0, 0, 0)
    assert found["all"] == 9 * 5 * 9
