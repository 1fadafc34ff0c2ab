"""Front doors over HTTP. Thin: read the request, one call of the orchestrator, format the answer."""
