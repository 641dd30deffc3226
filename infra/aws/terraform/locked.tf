# A copy of history and reviews that nobody can change for lock_days. Object Lock is a whole bucket's, and garbage collection
# must be able to free blobs: so the copy has a bucket of its own, and S3 fills it.

resource "aws_s3_bucket" "locked" {
  count               = var.lock_days > 0 ? 1 : 0
  bucket              = "${var.bucket}-locked"
  object_lock_enabled = true

  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_s3_bucket_versioning" "locked" {
  count  = var.lock_days > 0 ? 1 : 0
  bucket = aws_s3_bucket.locked[0].id
  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_public_access_block" "locked" {
  count                   = var.lock_days > 0 ? 1 : 0
  bucket                  = aws_s3_bucket.locked[0].id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_server_side_encryption_configuration" "locked" {
  count  = var.lock_days > 0 ? 1 : 0
  bucket = aws_s3_bucket.locked[0].id
  rule {
    bucket_key_enabled = true
    apply_server_side_encryption_by_default {
      sse_algorithm     = local.has_key ? "aws:kms" : "AES256"
      kms_master_key_id = var.kms_key_arn
    }
  }
}

resource "aws_s3_bucket_object_lock_configuration" "locked" {
  count      = var.lock_days > 0 ? 1 : 0
  bucket     = aws_s3_bucket.locked[0].id
  depends_on = [aws_s3_bucket_versioning.locked]
  rule {
    default_retention {
      mode = "COMPLIANCE"
      days = var.lock_days
    }
  }
}

data "aws_iam_policy_document" "s3" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["s3.amazonaws.com"]
    }
  }
}

data "aws_iam_policy_document" "replication" {
  statement {
    actions   = ["s3:GetReplicationConfiguration", "s3:ListBucket"]
    resources = [aws_s3_bucket.registry.arn]
  }
  statement {
    actions   = ["s3:GetObjectVersionForReplication", "s3:GetObjectVersionAcl", "s3:GetObjectVersionTagging"]
    resources = [for kind in keys(local.locked) : "${aws_s3_bucket.registry.arn}/${var.prefix}${kind}/*"]
  }
  statement {
    actions   = ["s3:ReplicateObject", "s3:ReplicateTags"]
    resources = ["arn:aws:s3:::${var.bucket}-locked/*"]
  }
  dynamic "statement" {
    for_each = local.has_key ? [var.kms_key_arn] : []
    content {
      actions   = ["kms:Decrypt", "kms:Encrypt"]
      resources = [statement.value]
    }
  }
}

resource "aws_iam_role" "replication" {
  count              = var.lock_days > 0 ? 1 : 0
  name               = "${var.role_prefix}replication"
  assume_role_policy = data.aws_iam_policy_document.s3.json
}

resource "aws_iam_role_policy" "replication" {
  count  = var.lock_days > 0 ? 1 : 0
  name   = "replication"
  role   = aws_iam_role.replication[0].id
  policy = data.aws_iam_policy_document.replication.json
}

resource "aws_s3_bucket_replication_configuration" "locked" {
  count      = var.lock_days > 0 ? 1 : 0
  bucket     = aws_s3_bucket.registry.id
  role       = aws_iam_role.replication[0].arn
  depends_on = [aws_s3_bucket_versioning.registry, aws_s3_bucket_versioning.locked]

  dynamic "rule" {
    for_each = local.locked
    content {
      id       = "locked-${rule.key}"
      priority = rule.value
      status   = "Enabled"
      filter {
        prefix = "${var.prefix}${rule.key}/"
      }
      delete_marker_replication {
        status = "Disabled"
      }
      dynamic "source_selection_criteria" {
        for_each = local.has_key ? [1] : []
        content {
          sse_kms_encrypted_objects {
            status = "Enabled"
          }
        }
      }
      destination {
        bucket = aws_s3_bucket.locked[0].arn
        dynamic "encryption_configuration" {
          for_each = local.has_key ? [var.kms_key_arn] : []
          content {
            replica_kms_key_id = encryption_configuration.value
          }
        }
      }
    }
  }
}
