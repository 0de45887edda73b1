#!/bin/sh
# Postgres's archive_command: keeps one finished WAL file, compressed and durable, and never writes over another.
#
#   sh archive_wal.sh %p %f FOLDER
#
# When the folder is away this fails; Postgres then keeps the file and asks again.
set -eu
umask 077
path=$1
kept=$3/$2.gz
if [ -e "$kept" ]; then
    # Asked again: the answer to the first time was lost.
    if gzip -dc "$kept" | cmp -s - "$path"; then exit 0; fi
    case $2 in
        *.partial) ;; # where a restore left a timeline; a second one there leaves another, and neither is read
        *) echo "archive_wal: $kept is there already and holds something else" >&2; exit 1 ;;
    esac
fi
gzip -1 -c "$path" > "$kept.part"
sync "$kept.part"
mv "$kept.part" "$kept"
sync "$3"
