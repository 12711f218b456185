"""What servers spend, measured: aggregator, server update, release downloads, check-ins and uploads."""
