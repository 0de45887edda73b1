#!/bin/sh
# Runs once, when the database is made: the services log in as a role that owns nothing.
# `neurocards migrate` grants what is needed to neurocards_app (see ledger/migrations).
set -eu
echo "host replication $POSTGRES_USER all scram-sha-256" >> "$PGDATA/pg_hba.conf"  # `neurocards backup take`
psql --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" \
     --set service_password="$SERVICE_PASSWORD" <<'SQL'
CREATE ROLE neurocards_app NOLOGIN;
CREATE ROLE neurocards_service LOGIN PASSWORD :'service_password' IN ROLE neurocards_app;
SQL
