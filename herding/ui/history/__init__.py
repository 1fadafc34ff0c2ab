"""The history tab."""
