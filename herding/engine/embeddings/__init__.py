"""Embedding models and rerankers: their files, one model in memory, and the common batches of all callers."""
