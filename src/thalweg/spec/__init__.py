"""Specs: read from TOML, edited, and completed by the data."""
