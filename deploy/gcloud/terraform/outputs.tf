output "url" {
  description = "Where the gateway answers; on instances some minutes after the first apply, and without TLS."
  value = one(concat(
    google_cloud_run_v2_service.gateway[*].uri,
    [for rule in google_compute_global_forwarding_rule.gateway : "http://${rule.ip_address}"],
  ))
}
