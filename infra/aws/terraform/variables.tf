variable "bucket" {
  description = "The bucket, which is made."
  type        = string
}

variable "prefix" {
  description = "Where in the bucket the registry is: empty, or ending in a slash."
  type        = string
  default     = ""
  validation {
    condition     = var.prefix == "" || endswith(var.prefix, "/")
    error_message = "The prefix is empty, or ends in a slash."
  }
}

variable "roles" {
  description = "Which roles are made. signing-publisher is for policies that ask for signatures, mirror for the bucket of a replica."
  type        = set(string)
  default     = ["publisher", "evaluator", "reviewer", "promoter", "server", "collector", "auditor"]
}

variable "assume_role_policies" {
  description = "Who may take a role: a trust policy (JSON) by the role's name. Without one, whoever the account lets."
  type        = map(string)
  default     = {}
}

variable "role_prefix" {
  description = "What the names of the roles begin with."
  type        = string
  default     = "bucketry-"
}

variable "protected_alias" {
  description = "The alias that is kept for promoters; a pattern such as prod* keeps several."
  type        = string
  default     = "production"
}

variable "kms_key_arn" {
  description = "A key of KMS that encrypts the bucket; without one, keys of S3."
  type        = string
  default     = null
}

variable "lock_days" {
  description = "For how many days a copy of history and reviews cannot be changed by anybody; 0: no copy."
  type        = number
  default     = 0
  validation {
    condition     = var.lock_days >= 0
    error_message = "A number of days, or 0."
  }
}
