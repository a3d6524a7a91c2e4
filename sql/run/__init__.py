"""What generated code calls while it runs: ranges, sorts, groups, joins, windows."""
