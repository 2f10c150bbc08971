"""Specs: TOML and parts, completed by the data."""
