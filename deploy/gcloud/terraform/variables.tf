variable "project" {
  type        = string
  description = "Id of the Google Cloud project."
}

variable "image" {
  type        = string
  description = "The gateway's image, in a registry that Cloud Run can read."
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
  type    = number
  default = 2
}

variable "max_instances" {
  type    = number
  default = 10
}

variable "concurrency" {
  type        = number
  default     = 1000
  description = "Clients of one instance; Cloud Run allows 1000 at most."
}

variable "settings" {
  type        = map(string)
  default     = {}
  description = "More GATEWAY_* settings, without secrets."
}
