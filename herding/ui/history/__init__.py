"""The History tab: requests with their responses, metrics and ratings."""
