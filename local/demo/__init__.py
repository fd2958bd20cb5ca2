"""The product's first minute: five model versions, rolled out for real under live callers."""
