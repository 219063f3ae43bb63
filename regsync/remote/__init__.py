"""A registry over HTTP, as a Store: session, authentication, limits, uploads, listing, providers."""
