"""The command line: one file per verb, which builds the objects and decides nothing."""
