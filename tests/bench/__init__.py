"""Benchmarks side by side with other tools, run by hand: `python -m tests.bench.bench --help`."""
