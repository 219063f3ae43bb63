"""The I/O shell around the plan: observe, apply, the ledger, runs."""
