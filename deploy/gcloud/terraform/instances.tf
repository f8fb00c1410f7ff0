# A managed instance group of Container-Optimized OS behind a global load balancer.
module "start" {
  source   = "./instance_start"
  image    = var.image
  project  = var.project
  secret   = "${var.name}-keys"
  settings = local.settings
}

resource "google_compute_region_instance_template" "gateway" {
  count        = local.on_instances
  name_prefix  = "${var.name}-"
  region       = var.region
  machine_type = var.machine
  tags         = [var.name]

  disk {
    source_image = "cos-cloud/cos-stable"
    boot         = true
    auto_delete  = true
  }

  network_interface {
    network    = var.network
    subnetwork = var.subnet
    # An address of its own: the image and the key are fetched without Cloud NAT.
    access_config {}
  }

  service_account {
    email  = google_service_account.gateway.email
    scopes = ["cloud-platform"]
  }

  shielded_instance_config {
    enable_secure_boot = true
  }

  metadata = {
    user-data              = module.start.user_data
    google-logging-enabled = "true"
  }

  lifecycle {
    create_before_destroy = true
  }
}

# Alive decides on replacing an instance, ready on sending clients to it.
resource "google_compute_health_check" "ready" {
  count               = local.on_instances
  name                = var.name
  check_interval_sec  = 5
  timeout_sec         = 3
  healthy_threshold   = 1
  unhealthy_threshold = 2
  http_health_check {
    port         = 8080
    request_path = "/ready"
  }
  depends_on = [google_project_service.needed]
}

resource "google_compute_health_check" "alive" {
  count               = local.on_instances
  name                = "${var.name}-alive"
  check_interval_sec  = 15
  timeout_sec         = 5
  healthy_threshold   = 1
  unhealthy_threshold = 4
  http_health_check {
    port         = 8080
    request_path = "/health"
  }
  depends_on = [google_project_service.needed]
}

resource "google_compute_firewall" "gateway" {
  count         = local.on_instances
  name          = var.name
  network       = var.network
  source_ranges = local.proxies
  target_tags   = [var.name]
  allow {
    protocol = "tcp"
    ports    = ["8080"]
  }
  depends_on = [google_project_service.needed]
}

resource "google_compute_region_instance_group_manager" "gateway" {
  count              = local.on_instances
  name               = var.name
  region             = var.region
  base_instance_name = var.name
  target_size        = var.size

  version {
    instance_template = google_compute_region_instance_template.gateway[0].self_link
  }

  named_port {
    name = "http"
    port = 8080
  }

  auto_healing_policies {
    health_check      = google_compute_health_check.alive[0].id
    initial_delay_sec = 120
  }

  # No instance goes before its successor is there; the number is that of the zones, or 0.
  update_policy {
    type                  = "PROACTIVE"
    minimal_action        = "REPLACE"
    max_surge_fixed       = 3
    max_unavailable_fixed = 0
  }
}

resource "google_compute_backend_service" "gateway" {
  count                           = local.on_instances
  name                            = var.name
  protocol                        = "HTTP"
  port_name                       = "http"
  load_balancing_scheme           = "EXTERNAL_MANAGED"
  health_checks                   = [google_compute_health_check.ready[0].id]
  connection_draining_timeout_sec = 60
  # The longest that a stream may last: a day.
  timeout_sec = 86400

  backend {
    group          = google_compute_region_instance_group_manager.gateway[0].instance_group
    balancing_mode = "UTILIZATION"
  }
}

resource "google_compute_url_map" "gateway" {
  count           = local.on_instances
  name            = var.name
  default_service = google_compute_backend_service.gateway[0].id
}

resource "google_compute_target_http_proxy" "gateway" {
  count   = local.on_instances
  name    = var.name
  url_map = google_compute_url_map.gateway[0].id
}

# For TLS: a google_compute_managed_ssl_certificate, a google_compute_target_https_proxy, and a rule for port 443.
resource "google_compute_global_forwarding_rule" "gateway" {
  count                 = local.on_instances
  name                  = var.name
  target                = google_compute_target_http_proxy.gateway[0].id
  port_range            = "80"
  load_balancing_scheme = "EXTERNAL_MANAGED"
}
