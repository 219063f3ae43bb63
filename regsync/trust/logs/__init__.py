"""Transparency logs: that what was signed is written down in one, and when."""
