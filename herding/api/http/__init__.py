"""Parts that all routes share: requests, responses, errors and streams."""
