"""A loader of documents. It runs in a child process without network, so it only reads what it is given."""

from __future__ import annotations


def read_properties(content: bytes, title: str) -> str:
    """Return a properties file as Markdown: a heading, and a line for each property."""
    lines = [line.strip() for line in content.decode("utf-8").splitlines()]
    pairs = [line.partition("=") for line in lines if "=" in line and not line.startswith(("#", "!"))]
    return "\n\n".join([f"# {title}", *(f"{name.strip()} is {value.strip()}" for name, _, value in pairs)])
