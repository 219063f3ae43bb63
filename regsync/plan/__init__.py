"""The difference between a spec and what registries hold, as data. Pure: no I/O, no clock."""
