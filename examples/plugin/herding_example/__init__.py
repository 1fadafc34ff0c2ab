"""An example of a plugin for Herding."""
