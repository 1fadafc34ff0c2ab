"""Nodes that run Herding's engine: the client of its HTTP API, its status, and what both kinds share."""
