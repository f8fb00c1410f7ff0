#!/usr/bin/env bash
# Publishes standard input as one event: echo hello | ./publish.sh TOPIC [EVENT-TYPE]
set -euo pipefail

topic=${1:?usage: publish.sh TOPIC [EVENT-TYPE] < DATA}
: "${GATEWAY_API_KEY:?set GATEWAY_API_KEY}"
id=$(cat /proc/sys/kernel/random/uuid 2>/dev/null || uuidgen)

# The key goes through a pipe: arguments are seen by every user of the machine. curl tries again after 408, 429, 500, 502,
# 503 and 504, as retry-after tells, and while nobody listens; always with the same id.
curl --silent --show-error --fail-with-body --retry 8 --retry-connrefused --retry-max-time 30 \
    --config <(printf 'header = "authorization: Bearer %s"\n' "$GATEWAY_API_KEY") \
    --header "x-sse-topic: $topic" --header "x-sse-id: $id" ${2:+--header "x-sse-event: $2"} \
    --header "content-type: text/plain; charset=utf-8" \
    --data-binary @- "${GATEWAY_URL:-http://127.0.0.1:8000}/publish"
