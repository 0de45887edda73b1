#!/bin/sh
# Makes secrets/, a file for each secret of docker-compose.yml, as far as it is not there: passwords and secrets of our own
# at random, keys of others empty, to be filled in. Others on this machine cannot pass the folder; in a container the
# process, which is another user, has to read the files, so these are readable.
set -eu
cd "$(dirname "$0")/.."
mkdir -p secrets
chmod 0700 secrets
random() { od -An -N32 -tx1 /dev/urandom | tr -d ' \n'; }
keep() {
    [ -e "secrets/$1" ] || printf %s "$2" > "secrets/$1"
    chmod 0644 "secrets/$1"
}
for name in postgres_password callback_secret forget_secret bot_webhook_secret grafana_password; do
    keep "$name" "$(random)"
done
keep database_owner_url "postgresql://neurocards:$(cat secrets/postgres_password)@postgres:5432/neurocards"
for name in $(sed -n 's|.*{file: \./secrets/\([a-z_]*\)}.*|\1|p' docker-compose.yml); do
    keep "$name" ""
done
echo "secrets/ is made; put keys into its files: bot_token, kie_api_keys, openai_api_key, yookassa_secret_key, …"
