#!/bin/sh
# Postgres's restore_command: brings one WAL file from the archive, or from where it was not yet archived.
#
#   sh fetch_wal.sh %f %p FOLDER [PG_WAL]
#
# Exit code 1 says that there is none, which is how recovery finds the end. A file that cannot be read must not
# look like that: above 125 Postgres gives up instead of ending too early.
set -u
umask 077
kept=$3/$1.gz
if [ -d "$3" ] && [ ! -x "$3" ]; then
    echo "fetch_wal: $3 cannot be read" >&2
    exit 200
fi
if [ -e "$kept" ]; then
    gzip -dc "$kept" > "$2.part" && mv "$2.part" "$2" && exit 0
    echo "fetch_wal: $kept cannot be read" >&2
    exit 200
fi
if [ -n "${4:-}" ] && [ -f "$4/$1" ]; then
    cp "$4/$1" "$2" && exit 0
    exit 200
fi
exit 1
