"""Numbered migrations of the database; only ever added to."""
