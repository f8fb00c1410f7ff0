#!/usr/bin/env bash
# The gateway on Cloud Run, with Memorystore: PROJECT=my-project ./deploy-cloudrun.sh
#
# Also: REGION, NAME, NETWORK, SUBNET, SETTINGS, PUBSUB_TOPIC, IMAGE (built when not given), MIN_INSTANCES, MAX_INSTANCES, CONCURRENCY.
# Running it again updates what is there. docs/how-to/deploy/google-cloud.md says what it makes and what that costs.
# shellcheck source-path=SCRIPTDIR
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
MIN_INSTANCES=${MIN_INSTANCES:-2}
MAX_INSTANCES=${MAX_INSTANCES:-10}
# Clients of one instance; Cloud Run allows 1000 at most.
CONCURRENCY=${CONCURRENCY:-1000}

enable_services run.googleapis.com
build_image
make_account_and_key
make_redis
make_subscription

say "Cloud Run service $NAME"
# Cloud Run gives 10 s after SIGTERM, ends each request after an hour at most (clients come back by themselves), and
# sends from link-local addresses. The processor is kept between requests: heartbeats and leases go on.
settings="GATEWAY_REDIS_URL=$redis_url;GATEWAY_DRAIN_SECONDS=8;GATEWAY_TRUSTED_PROXIES=169.254.0.0/16${SETTINGS:+;$SETTINGS}"
cloud run deploy "$NAME" --region="$REGION" --image="$IMAGE" --service-account="$account" \
    --execution-environment=gen2 --cpu=1 --memory=512Mi --no-cpu-throttling --cpu-boost \
    --min-instances="$MIN_INSTANCES" --max-instances="$MAX_INSTANCES" --concurrency="$CONCURRENCY" --timeout=3600 \
    --network="$NETWORK" --subnet="$SUBNET" --vpc-egress=private-ranges-only \
    --set-secrets="GATEWAY_API_KEYS=$NAME-keys:latest" --set-env-vars="^;^$settings" \
    --startup-probe="httpGet.path=/ready,periodSeconds=2,failureThreshold=30,timeoutSeconds=2" \
    --liveness-probe="httpGet.path=/health,periodSeconds=30,failureThreshold=3,timeoutSeconds=5" \
    --allow-unauthenticated

url=$(cloud run services describe "$NAME" --region="$REGION" --format='value(status.url)')
cat <<END

The gateway is at $url
  curl -N '$url/sse?topic=news'
  the API key: gcloud --project=$PROJECT secrets versions access latest --secret=$NAME-keys
END
