#!/bin/sh
# Runs once, when the database is made. The services' logins are made by `neurocards migrate`.
set -eu
echo "host replication $POSTGRES_USER all scram-sha-256" >> "$PGDATA/pg_hba.conf"  # `neurocards backup take`
