"""Prompts in the database: versions, labels, drafts and the state of their files."""
