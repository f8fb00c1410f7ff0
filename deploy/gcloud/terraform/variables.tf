variable "project" {
  type        = string
  description = "Id of the Google Cloud project."
}

variable "image" {
  type        = string
  description = "The gateway's image, in a registry that the service account can read."
}

variable "run_on" {
  type        = string
  default     = "cloud-run"
  description = "cloud-run, or instances: a managed instance group behind a load balancer."
  validation {
    condition     = contains(["cloud-run", "instances"], var.run_on)
    error_message = "run_on is cloud-run or instances."
  }
}

variable "region" {
  type    = string
  default = "europe-west1"
}

variable "name" {
  type    = string
  default = "sse-gateway"
}

variable "network" {
  type    = string
  default = "default"
}

variable "subnet" {
  type    = string
  default = "default"
}

variable "min_instances" {
  type        = number
  default     = 2
  description = "Of Cloud Run."
}

variable "max_instances" {
  type        = number
  default     = 10
  description = "Of Cloud Run."
}

variable "concurrency" {
  type        = number
  default     = 1000
  description = "Clients of one instance; Cloud Run allows 1000 at most."
}

variable "size" {
  type        = number
  default     = 3
  description = "Instances, with run_on = instances."
}

variable "machine" {
  type        = string
  default     = "e2-small"
  description = "Their machine type."
}

variable "pubsub_topic" {
  type        = string
  default     = ""
  description = "Id of a Pub/Sub topic whose messages become events; none when empty. Needs the image with sources."
}

variable "settings" {
  type        = map(string)
  default     = {}
  description = "More GATEWAY_* settings, without secrets."
}
