"""Embedding models: their files, one model in memory, and the common batches of all callers."""
