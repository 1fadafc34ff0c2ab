"""The nodes tab."""
