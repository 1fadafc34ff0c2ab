"""The usage tab."""
