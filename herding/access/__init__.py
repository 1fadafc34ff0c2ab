"""Tokens, sessions, roles and access checks."""
