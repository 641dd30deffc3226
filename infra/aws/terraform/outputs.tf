output "url" {
  description = "What BUCKETRY_REGISTRY is set to."
  value       = "s3://${var.bucket}/${var.prefix}"
}

output "role_arns" {
  description = "The ARN of each role, by its name."
  value       = { for name, role in aws_iam_role.role : name => role.arn }
}
