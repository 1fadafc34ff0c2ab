"""Learning from ratings, and insights."""
