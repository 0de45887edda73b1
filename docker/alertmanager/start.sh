#!/bin/sh
# Starts Alertmanager with the receivers that the environment names; it cannot read the environment itself.
#
#   ALERT_TELEGRAM_CHAT_ID                             the chat a bot writes to whose token is in the file below
#   ALERT_WEBHOOK_URL                                  or any webhook
#   ALERT_WATCHDOG_URL                                 is called every minute; whoever is there alarms when it is not
set -eu
umask 077
here=$(dirname "$0")
made=${ALERTMANAGER_MADE:-/tmp}
token=${ALERT_TELEGRAM_TOKEN_FILE:-/run/secrets/alert_telegram_bot_token}

operators=
if [ -s "$token" ]; then
    case ${ALERT_TELEGRAM_CHAT_ID:-} in
        '' | *[!0-9-]*) echo "ALERT_TELEGRAM_CHAT_ID: must be the chat's number" >&2; exit 2 ;;
    esac
    operators="$operators
    telegram_configs:
      - bot_token_file: $token
        chat_id: $ALERT_TELEGRAM_CHAT_ID
        parse_mode: ''
        message: '{{ template \"neurocards\" . }}'"
fi
if [ -n "${ALERT_WEBHOOK_URL:-}" ]; then
    printf %s "$ALERT_WEBHOOK_URL" > "$made/webhook-url"
    operators="$operators
    webhook_configs:
      - url_file: $made/webhook-url"
fi
watchdog=
if [ -n "${ALERT_WATCHDOG_URL:-}" ]; then
    printf %s "$ALERT_WATCHDOG_URL" > "$made/watchdog-url"
    watchdog="
    webhook_configs:
      - url_file: $made/watchdog-url
        send_resolved: false"
fi

while IFS= read -r line; do
    case $line in
        *'#operators') printf '%s\n' "$operators" ;;
        *'#watchdog') printf '%s\n' "$watchdog" ;;
        *) printf '%s\n' "$line" ;;
    esac
done < "$here/alertmanager.yml" > "$made/alertmanager.yml"
echo "templates: ['$here/*.tmpl']" >> "$made/alertmanager.yml"

exec "${ALERTMANAGER:-/bin/alertmanager}" --config.file="$made/alertmanager.yml" --storage.path=/alertmanager "$@"
