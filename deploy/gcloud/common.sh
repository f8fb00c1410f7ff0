# What both scripts need. Sourced, not run.
# shellcheck shell=bash
set -euo pipefail

: "${PROJECT:?Set PROJECT to the id of the Google Cloud project}"
REGION=${REGION:-europe-west1}
NAME=${NAME:-sse-gateway}
NETWORK=${NETWORK:-default}
SUBNET=${SUBNET:-default}
# GATEWAY_* settings, separated by semicolons: "GATEWAY_CORS_ORIGINS=https://example.org;GATEWAY_HISTORY=orders.*=1000/1h"
SETTINGS=${SETTINGS:-}
# A Pub/Sub topic of the project whose messages become events; none when empty.
PUBSUB_TOPIC=${PUBSUB_TOPIC:-}
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$root/pyproject.toml")
repository="$REGION-docker.pkg.dev/$PROJECT/$NAME"
# With Pub/Sub, the image that has Google's client.
IMAGE=${IMAGE:-$repository/gateway:$version${PUBSUB_TOPIC:+-sources}}
account="$NAME@$PROJECT.iam.gserviceaccount.com"

say() { printf '\n== %s\n' "$*" >&2; }

cloud() { gcloud --project="$PROJECT" --quiet "$@"; }

# there COMMAND...: whether `describe` finds it.
there() { cloud "$@" >/dev/null 2>&1; }

enable_services() {
    say "Services"
    cloud services enable artifactregistry.googleapis.com cloudbuild.googleapis.com compute.googleapis.com \
        redis.googleapis.com secretmanager.googleapis.com "$@"
}

build_image() {
    if [[ $IMAGE != "$repository"/* ]]; then return; fi
    say "Image $IMAGE"
    there artifacts repositories describe "$NAME" --location="$REGION" \
        || cloud artifacts repositories create "$NAME" --location="$REGION" --repository-format=docker
    cloud builds submit "$root" --config="$root/deploy/gcloud/cloudbuild.yaml" \
        --substitutions="_IMAGE=$IMAGE,_SOURCES=${PUBSUB_TOPIC:+yes}"
}

# The key is made here once, and is in no file and no argument.
make_account_and_key() {
    say "Service account and API key"
    there iam service-accounts describe "$account" \
        || cloud iam service-accounts create "$NAME" --display-name="SSE gateway"
    if ! there secrets describe "$NAME-keys"; then
        openssl rand -hex 24 | tr -d '\n' | cloud secrets create "$NAME-keys" --replication-policy=automatic --data-file=-
    fi
    cloud secrets add-iam-policy-binding "$NAME-keys" --member="serviceAccount:$account" \
        --role=roles/secretmanager.secretAccessor >/dev/null
}

make_redis() {
    say "Memorystore for Redis (the first time, some minutes)"
    there redis instances describe "$NAME" --region="$REGION" \
        || cloud redis instances create "$NAME" --region="$REGION" --tier=standard --size=1 --redis-version=redis_7_2 \
            --network="$NETWORK" --redis-config=maxmemory-policy=noeviction
    redis_host=$(cloud redis instances describe "$NAME" --region="$REGION" --format='value(host)')
    redis_port=$(cloud redis instances describe "$NAME" --region="$REGION" --format='value(port)')
    # shellcheck disable=SC2034  # the scripts use it
    redis_url="redis://$redis_host:$redis_port/0"
}

# One subscription for all instances: Pub/Sub gives each message to one of them, and that one publishes it to the clients
# of all, through Redis. One for each instance would publish each message as often as there are instances.
make_subscription() {
    if [[ -z $PUBSUB_TOPIC ]]; then return; fi
    say "Pub/Sub subscription $NAME-events"
    cloud services enable pubsub.googleapis.com
    there pubsub subscriptions describe "$NAME-events" \
        || cloud pubsub subscriptions create "$NAME-events" --topic="$PUBSUB_TOPIC" --ack-deadline=10 \
            --enable-message-ordering --message-retention-duration=10m
    cloud pubsub subscriptions add-iam-policy-binding "$NAME-events" --member="serviceAccount:$account" \
        --role=roles/pubsub.subscriber >/dev/null
    # A message that Pub/Sub sends again is not delivered again.
    local pubsub="GATEWAY_SOURCES=gcp-pubsub;GCP_PROJECT=$PROJECT;PUBSUB_SUBSCRIPTION=$NAME-events;GATEWAY_DEDUPE_SECONDS=600"
    SETTINGS="$pubsub${SETTINGS:+;$SETTINGS}"
}
