"""Responses and requests as people read them."""
