"""Collections of documents: reading, indexing, searching, and the retrieval of prompts."""
