"""Objectives in configs: read from YAML, TOML, JSON or Python mappings, and written as mappings."""
