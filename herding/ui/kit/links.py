"""Addresses of tabs, which links open without loading the page again."""

from __future__ import annotations

from urllib.parse import urlencode


def tab_address(tab: str, **fields: str) -> str:
    """Return the address of a tab with its fields; empty ones are left out."""
    return f"?{urlencode({'tab': tab, **{name: value for name, value in fields.items() if value}})}"
