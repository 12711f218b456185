"""The report of a trade-off grid."""
