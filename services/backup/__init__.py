"""Backups of everything that cannot be computed again, and ways back.

repository.py     the folder: backups, the WAL archive, and what stands where
wal.py            names of WAL files: which follow one another, which nobody needs any more
archive_wal.sh    Postgres's archive_command; fetch_wal.sh, its restore_command
client.py         pg_basebackup and pg_verifybackup of the server's version
files.py          photos, videos, checkpoints and the key
taking.py, checking.py, restoring.py
"""
