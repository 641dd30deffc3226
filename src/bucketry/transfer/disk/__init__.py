"""What a transfer needs of the local disk: files and folders that appear whole, receipts, leftovers, and the cache."""
