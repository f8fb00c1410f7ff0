# cloud-init.yaml filled in, as deploy-gce-mig.sh does. No provider: it can be evaluated anywhere.
variable "image" {
  type = string
}

variable "project" {
  type = string
}

variable "secret" {
  type = string
}

variable "settings" {
  type = map(string)
}

locals {
  words = {
    IMAGE    = var.image
    PROJECT  = var.project
    SECRET   = var.secret
    REGISTRY = split("/", var.image)[0]
    SETTINGS = join("\n", [for name, value in var.settings : "      ${name}=${value}"])
  }
  # replace() takes one word at a time; the names of the words stand in the file between two @.
  pieces = split("@", file("${path.module}/../../cloud-init.yaml"))
}

output "user_data" {
  value = join("", [for piece in local.pieces : lookup(local.words, piece, piece)])
}
