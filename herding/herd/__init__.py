"""The running fleet: registry, health probing and model loading."""
