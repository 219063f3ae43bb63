"""Values of the OCI specifications: parse, print, compare. No I/O."""
