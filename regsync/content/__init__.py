"""Content-addressed stores: the protocol, verified streams, walking and copying graphs."""
