# The gateway on Cloud Run, or on virtual machines (run_on = "instances"), with Memorystore: what deploy-cloudrun.sh and
# deploy-gce-mig.sh make, as Terraform. docs/how-to/deploy/google-cloud.md says in which order.
#   terraform init && terraform apply -var project=my-project -var image=REGION-docker.pkg.dev/my-project/sse-gateway/gateway:0.1.0
terraform {
  required_version = ">= 1.5"
  required_providers {
    google = {
      source  = "hashicorp/google"
      version = ">= 6.0, < 8.0"
    }
  }
}

provider "google" {
  project = var.project
  region  = var.region
}

locals {
  on_cloud_run = var.run_on == "cloud-run" ? 1 : 0
  on_instances = var.run_on == "instances" ? 1 : 0

  services = concat(
    ["redis.googleapis.com", "secretmanager.googleapis.com"],
    local.on_cloud_run == 1 ? ["run.googleapis.com"] : ["compute.googleapis.com"],
    var.pubsub_topic == "" ? [] : ["pubsub.googleapis.com"],
  )

  # The load balancer's proxies and health checks come from these two networks, Cloud Run's from link-local addresses.
  proxies = local.on_cloud_run == 1 ? ["169.254.0.0/16"] : ["130.211.0.0/22", "35.191.0.0/16"]

  settings = merge({
    GATEWAY_REDIS_URL = "redis://${google_redis_instance.gateway.host}:${google_redis_instance.gateway.port}/0"
    # Cloud Run gives 10 s after SIGTERM.
    GATEWAY_DRAIN_SECONDS   = local.on_cloud_run == 1 ? "8" : "60"
    GATEWAY_TRUSTED_PROXIES = join(",", local.proxies)
  }, local.pubsub_settings, var.settings)
}

resource "google_project_service" "needed" {
  for_each           = toset(local.services)
  service            = each.value
  disable_on_destroy = false
}

resource "google_service_account" "gateway" {
  account_id   = var.name
  display_name = "SSE gateway"
}

# The key itself is added by hand, so that it is in no state file:
#   openssl rand -hex 24 | tr -d '\n' | gcloud secrets versions add NAME-keys --data-file=-
resource "google_secret_manager_secret" "keys" {
  secret_id = "${var.name}-keys"
  replication {
    auto {}
  }
  depends_on = [google_project_service.needed]
}

resource "google_secret_manager_secret_iam_member" "gateway" {
  secret_id = google_secret_manager_secret.keys.id
  role      = "roles/secretmanager.secretAccessor"
  member    = "serviceAccount:${google_service_account.gateway.email}"
}

resource "google_redis_instance" "gateway" {
  name               = var.name
  tier               = "STANDARD_HA"
  memory_size_gb     = 1
  redis_version      = "REDIS_7_2"
  authorized_network = "projects/${var.project}/global/networks/${var.network}"
  redis_configs      = { maxmemory-policy = "noeviction" }
  depends_on         = [google_project_service.needed]
}
