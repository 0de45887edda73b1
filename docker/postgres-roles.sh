#!/bin/sh
# Runs once, when the database is made. The services' logins are made by `neurocards migrate`.
set -eu
echo "host replication $POSTGRES_USER all scram-sha-256" >> "$PGDATA/pg_hba.conf"  # `neurocards backup take`
# Locks taken in another database fill the same memory. Ours is closed by `neurocards migrate`.
psql -v ON_ERROR_STOP=1 -U "$POSTGRES_USER" -d "$POSTGRES_DB" -c "REVOKE CONNECT ON DATABASE postgres, template1 FROM PUBLIC"
