"""The built-in storage layer: a SQL catalogue and content-addressed blobs, as a Store."""
