"""The versions tab."""
