"""Who can answer a request, and who should."""
