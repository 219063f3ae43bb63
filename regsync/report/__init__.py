"""What a run says of itself, one module per output format."""
