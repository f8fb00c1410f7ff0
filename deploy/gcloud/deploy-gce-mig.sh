#!/usr/bin/env bash
# The gateway on a managed instance group behind a load balancer, with Memorystore: PROJECT=my-project ./deploy-gce-mig.sh
#
# Also: REGION, NAME, NETWORK, SUBNET, SETTINGS, PUBSUB_TOPIC, IMAGE (built when not given), SIZE, MACHINE.
# Running it again rolls a new template out, one instance at a time. docs/how-to/deploy/google-cloud.md says more.
# shellcheck source-path=SCRIPTDIR
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
SIZE=${SIZE:-3}
MACHINE=${MACHINE:-e2-small}

# shellcheck disable=SC2119
enable_services
build_image
make_account_and_key
make_redis
make_subscription
cloud artifacts repositories add-iam-policy-binding "$NAME" --location="$REGION" --member="serviceAccount:$account" \
    --role=roles/artifactregistry.reader >/dev/null

say "Instance template"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
# The load balancer's proxies and health checks come from these two networks.
proxies=130.211.0.0/22,35.191.0.0/16
{
    printf '%s\n' "GATEWAY_REDIS_URL=$redis_url" "GATEWAY_DRAIN_SECONDS=60" "GATEWAY_TRUSTED_PROXIES=$proxies"
    if [[ -n $SETTINGS ]]; then tr ';' '\n' <<<"$SETTINGS"; fi
} | sed 's/^/      /' >"$folder/settings"
sed -e "s|@IMAGE@|$IMAGE|g" -e "s|@SECRET@|$NAME-keys|g" -e "s|@PROJECT@|$PROJECT|g" -e "s|@REGISTRY@|$REGION-docker.pkg.dev|g" \
    -e "/@SETTINGS@/{r $folder/settings" -e "d}" "$root/deploy/gcloud/cloud-init.yaml" >"$folder/cloud-init.yaml"
template="$NAME-$(date +%Y%m%d-%H%M%S)"
cloud compute instance-templates create "$template" --machine-type="$MACHINE" --image-family=cos-stable \
    --image-project=cos-cloud --region="$REGION" --network="$NETWORK" --subnet="$SUBNET" --tags="$NAME" \
    --service-account="$account" --scopes=cloud-platform --shielded-secure-boot \
    --metadata-from-file="user-data=$folder/cloud-init.yaml" --metadata=google-logging-enabled=true

say "Health check and firewall"
there compute health-checks describe "$NAME" --global \
    || cloud compute health-checks create http "$NAME" --global --port=8080 --request-path=/ready \
        --check-interval=5s --timeout=3s --unhealthy-threshold=2 --healthy-threshold=1
# Alive decides on replacing an instance, ready on sending clients to it.
there compute health-checks describe "$NAME-alive" --global \
    || cloud compute health-checks create http "$NAME-alive" --global --port=8080 --request-path=/health \
        --check-interval=15s --timeout=5s --unhealthy-threshold=4 --healthy-threshold=1
there compute firewall-rules describe "$NAME" \
    || cloud compute firewall-rules create "$NAME" --network="$NETWORK" --allow=tcp:8080 --source-ranges="$proxies" \
        --target-tags="$NAME"

say "Instance group"
if there compute instance-groups managed describe "$NAME" --region="$REGION"; then
    cloud compute instance-groups managed rolling-action start-update "$NAME" --region="$REGION" \
        --version="template=$template" --max-surge=3 --max-unavailable=0
else
    cloud compute instance-groups managed create "$NAME" --region="$REGION" --template="$template" --size="$SIZE" \
        --health-check="$NAME-alive" --initial-delay=120
    cloud compute instance-groups managed set-named-ports "$NAME" --region="$REGION" --named-ports=http:8080
fi

say "Load balancer"
if ! there compute backend-services describe "$NAME" --global; then
    # --timeout is the longest that a stream may last: a day.
    cloud compute backend-services create "$NAME" --global --protocol=HTTP --port-name=http --health-checks="$NAME" \
        --load-balancing-scheme=EXTERNAL_MANAGED --timeout=86400 --connection-draining-timeout=60
    cloud compute backend-services add-backend "$NAME" --global --instance-group="$NAME" \
        --instance-group-region="$REGION" --balancing-mode=UTILIZATION
fi
there compute url-maps describe "$NAME" --global || cloud compute url-maps create "$NAME" --global --default-service="$NAME"
there compute target-http-proxies describe "$NAME" --global \
    || cloud compute target-http-proxies create "$NAME" --global --url-map="$NAME"
there compute forwarding-rules describe "$NAME" --global \
    || cloud compute forwarding-rules create "$NAME" --global --load-balancing-scheme=EXTERNAL_MANAGED \
        --target-http-proxy="$NAME" --ports=80

address=$(cloud compute forwarding-rules describe "$NAME" --global --format='value(IPAddress)')
cat <<END

The gateway will answer at http://$address in some minutes. For TLS add a certificate and a target HTTPS proxy.
  the API key: gcloud --project=$PROJECT secrets versions access latest --secret=$NAME-keys
END
