"""What a migration's statements are, and which locks their first words tell of."""

import pytest

from ledger.migrations import migration_files
from ledger.migrations.statements import locks, statements, touches_log


def test_statements_end_where_no_string_body_or_comment_goes_on():
    sql = """-- one; not two
CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN 1; END $$; -- and; more
INSERT INTO t VALUES ('a;''b');
CREATE FUNCTION g() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT 2; END;
SELECT 3"""
    assert [text.split()[0] for text in statements(sql)] == ["CREATE", "INSERT", "CREATE", "SELECT"]


@pytest.mark.parametrize(
    ("statement", "table", "lock"),
    [
        ("CREATE INDEX a ON events (x)", "events", "SHARE: writers wait"),
        ("CREATE UNIQUE INDEX a ON public.events (x)", "public.events", "SHARE: writers wait"),
        ("CREATE INDEX CONCURRENTLY a ON events (x)", "events", "SHARE UPDATE EXCLUSIVE: nobody"),
        ("DROP INDEX CONCURRENTLY IF EXISTS a", "a", "SHARE UPDATE EXCLUSIVE: nobody"),
        ("ALTER TABLE events ADD COLUMN x int", "events", "ACCESS EXCLUSIVE"),
        ("alter table only events drop x", "events", "ACCESS EXCLUSIVE"),
        ("ALTER TABLE events VALIDATE CONSTRAINT c", "events", "SHARE UPDATE EXCLUSIVE"),
        ("DROP TABLE IF EXISTS t", "t", "ACCESS EXCLUSIVE"),
        ("CREATE TRIGGER t BEFORE INSERT ON events EXECUTE FUNCTION f()", "events", "SHARE ROW EXCLUSIVE"),
        ("UPDATE cursors SET x = 1", "cursors", "ROW EXCLUSIVE"),
        ("CREATE OR REPLACE FUNCTION ledger.clock() RETURNS bigint RETURN 1", "", "no table's"),
        ("DO $$ BEGIN NULL; END $$", "", "not known"),
        ("SELECT f()", "", "not known"),
    ],
)
def test_the_lock_of_a_statement(statement: str, table: str, lock: str):
    (found,) = locks(statement)
    assert (found.table, found.lock[: len(lock)]) == (table, lock)


def test_ours_are_known_but_for_do_blocks():
    for name, sql in migration_files("ledger.migrations"):
        assert {one.statement.split()[0] for one in locks(sql) if "not known" in one.lock} <= {"DO"}, name


def test_what_touches_the_log_is_known_by_its_names():
    assert touches_log("ALTER TABLE events ADD COLUMN x int") and touches_log(
        "GRANT SELECT ON ledger.event_rights TO x"
    )
    assert not touches_log("-- events\nALTER TABLE drafts ADD COLUMN x int")
