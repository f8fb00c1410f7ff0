# Messages of a Pub/Sub topic become events: one subscription for all instances. Pub/Sub gives each message to one of
# them, and that one publishes it to the clients of all, through Redis. The image must be the one with sources.
locals {
  with_pubsub = var.pubsub_topic == "" ? 0 : 1
  pubsub_settings = var.pubsub_topic == "" ? {} : {
    GATEWAY_SOURCES = "gcp-pubsub"
    GCP_PROJECT     = var.project
    # A message that Pub/Sub sends again is not delivered again.
    GATEWAY_DEDUPE_SECONDS = "600"
    PUBSUB_SUBSCRIPTION    = "${var.name}-events"
  }
}

resource "google_pubsub_subscription" "events" {
  count                      = local.with_pubsub
  name                       = "${var.name}-events"
  topic                      = var.pubsub_topic
  ack_deadline_seconds       = 10
  enable_message_ordering    = true
  message_retention_duration = "600s"
  depends_on                 = [google_project_service.needed]
}

resource "google_pubsub_subscription_iam_member" "gateway" {
  count        = local.with_pubsub
  subscription = google_pubsub_subscription.events[0].name
  role         = "roles/pubsub.subscriber"
  member       = "serviceAccount:${google_service_account.gateway.email}"
}
