"""Collections of documents: their tables, their vectors and their words."""
