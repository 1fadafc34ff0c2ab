"""Bots on chat platforms, over the services of the orchestrator."""
