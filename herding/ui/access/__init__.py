"""The access tab."""
