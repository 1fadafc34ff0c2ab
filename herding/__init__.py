"""Herding: a prompt-engineering workbench and model orchestrator."""

__version__ = "0.2.0"
