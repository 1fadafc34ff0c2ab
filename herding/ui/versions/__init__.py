"""The Versions tab: the versions of a prompt, their differences, and its labels."""
