"""The tab "Knowledge"."""
