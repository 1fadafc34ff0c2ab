"""Brings models to the disk: downloads from the hub, and GGUF files that are converted once."""
