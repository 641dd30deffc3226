# A Bucketry registry on AWS: the bucket, and a role for each part in it. What each role may do is in ../../policies, which
# infra/roles.py makes from the program's own table.

terraform {
  required_version = ">= 1.5"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.40"
    }
  }
}

data "aws_caller_identity" "current" {}

locals {
  folder = "${path.module}/../.."
  filled = {
    Bucket         = var.bucket
    Prefix         = var.prefix
    ProtectedAlias = var.protected_alias
    RolePrefix     = var.role_prefix
    Account        = data.aws_caller_identity.current.account_id
    KmsKeyArn      = coalesce(var.kms_key_arn, "none")
  }
  lifecycle_rules = jsondecode(templatefile("${local.folder}/aws/lifecycle.json", local.filled)).Rules
  locked          = { history = 1, reviews = 2 }
  has_key         = var.kms_key_arn != null
}

resource "aws_s3_bucket" "registry" {
  bucket = var.bucket

  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_s3_bucket_versioning" "registry" {
  bucket = aws_s3_bucket.registry.id
  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_public_access_block" "registry" {
  bucket                  = aws_s3_bucket.registry.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "registry" {
  bucket = aws_s3_bucket.registry.id
  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "registry" {
  bucket = aws_s3_bucket.registry.id
  rule {
    bucket_key_enabled = true
    apply_server_side_encryption_by_default {
      sse_algorithm     = local.has_key ? "aws:kms" : "AES256"
      kms_master_key_id = var.kms_key_arn
    }
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "registry" {
  bucket     = aws_s3_bucket.registry.id
  depends_on = [aws_s3_bucket_versioning.registry]

  dynamic "rule" {
    for_each = local.lifecycle_rules
    content {
      id     = rule.value.ID
      status = rule.value.Status
      filter {
        prefix = rule.value.Filter.Prefix
      }
      dynamic "abort_incomplete_multipart_upload" {
        for_each = [for days in [try(rule.value.AbortIncompleteMultipartUpload.DaysAfterInitiation, null)] : days if days != null]
        content {
          days_after_initiation = abort_incomplete_multipart_upload.value
        }
      }
      dynamic "noncurrent_version_expiration" {
        for_each = [for days in [try(rule.value.NoncurrentVersionExpiration.NoncurrentDays, null)] : days if days != null]
        content {
          noncurrent_days = noncurrent_version_expiration.value
        }
      }
    }
  }
}

resource "aws_s3_bucket_policy" "registry" {
  bucket     = aws_s3_bucket.registry.id
  policy     = templatefile("${local.folder}/aws/bucket-policy.json", local.filled)
  depends_on = [aws_s3_bucket_public_access_block.registry]
}

# Roles

data "aws_iam_policy_document" "account" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "AWS"
      identifiers = ["arn:aws:iam::${data.aws_caller_identity.current.account_id}:root"]
    }
  }
}

resource "aws_iam_role" "role" {
  for_each           = var.roles
  name               = "${var.role_prefix}${each.key}"
  assume_role_policy = lookup(var.assume_role_policies, each.key, data.aws_iam_policy_document.account.json)
}

resource "aws_iam_role_policy" "registry" {
  for_each = var.roles
  name     = "registry"
  role     = aws_iam_role.role[each.key].id
  policy   = templatefile("${local.folder}/policies/${each.key}.json", local.filled)
}

resource "aws_iam_role_policy" "key" {
  for_each = local.has_key ? var.roles : toset([])
  name     = "key"
  role     = aws_iam_role.role[each.key].id
  policy   = templatefile("${local.folder}/policies/key.json", local.filled)
}
