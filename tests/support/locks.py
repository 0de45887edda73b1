"""Sessions that wait for a lock in this test's database: its server holds the databases of others, too.

Relations have the same number in all of them, being copies of one template. `pg_stat_activity` would not do:
a transaction sees it as it was when it looked first.
"""

WAITING = """SELECT count(*) FROM pg_locks WHERE NOT granted AND pid IN (
             SELECT pid FROM pg_locks JOIN pg_database d ON d.oid = database
             WHERE datname = current_database())"""
WAITING_TO_APPEND = f"{WAITING} AND relation = 'ledger.append_lock'::regclass"
