"""The Access tab: tokens, users and roles."""
