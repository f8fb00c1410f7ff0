# The gateway on Cloud Run with Memorystore: what deploy-cloudrun.sh makes, as Terraform.
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
  services = ["redis.googleapis.com", "run.googleapis.com", "secretmanager.googleapis.com"]
  settings = merge({
    GATEWAY_REDIS_URL = "redis://${google_redis_instance.gateway.host}:${google_redis_instance.gateway.port}/0"
    # Cloud Run gives 10 s after SIGTERM, and sends from link-local addresses.
    GATEWAY_DRAIN_SECONDS   = "8"
    GATEWAY_TRUSTED_PROXIES = "169.254.0.0/16"
  }, var.settings)
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
#   openssl rand -hex 24 | gcloud secrets versions add NAME-keys --data-file=-
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

resource "google_cloud_run_v2_service" "gateway" {
  name                = var.name
  location            = var.region
  deletion_protection = false

  template {
    service_account                  = google_service_account.gateway.email
    execution_environment            = "EXECUTION_ENVIRONMENT_GEN2"
    max_instance_request_concurrency = var.concurrency
    # A stream lasts an hour at most; clients come back by themselves.
    timeout = "3600s"

    scaling {
      min_instance_count = var.min_instances
      max_instance_count = var.max_instances
    }

    vpc_access {
      egress = "PRIVATE_RANGES_ONLY"
      network_interfaces {
        network    = var.network
        subnetwork = var.subnet
      }
    }

    containers {
      image = var.image

      ports {
        container_port = 8080
      }

      resources {
        limits = { cpu = "1", memory = "512Mi" }
        # Heartbeats and leases go on between requests.
        cpu_idle          = false
        startup_cpu_boost = true
      }

      dynamic "env" {
        for_each = local.settings
        content {
          name  = env.key
          value = env.value
        }
      }

      env {
        name = "GATEWAY_API_KEYS"
        value_source {
          secret_key_ref {
            secret  = google_secret_manager_secret.keys.secret_id
            version = "latest"
          }
        }
      }

      startup_probe {
        period_seconds    = 2
        timeout_seconds   = 2
        failure_threshold = 30
        http_get {
          path = "/ready"
        }
      }

      liveness_probe {
        period_seconds    = 30
        timeout_seconds   = 5
        failure_threshold = 3
        http_get {
          path = "/health"
        }
      }
    }
  }

  depends_on = [google_project_service.needed, google_secret_manager_secret_iam_member.gateway]
}

# Subscribing needs no account; publishing needs the key.
resource "google_cloud_run_v2_service_iam_member" "everybody" {
  name     = google_cloud_run_v2_service.gateway.name
  location = var.region
  role     = "roles/run.invoker"
  member   = "allUsers"
}
