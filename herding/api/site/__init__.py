"""Login, documentation, health and unknown paths."""
