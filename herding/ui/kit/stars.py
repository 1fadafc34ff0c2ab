"""Stars as the page sends them."""

from __future__ import annotations

from herding.errors import UserError


def parse_stars(value: object) -> int | None:
    """Return the stars of a field, None for none; UserError for other values."""
    if isinstance(value, bool) or value not in (0, 1, 2, 3, 4, 5, None):
        raise UserError("Select 1 to 5 stars.", param="score")
    return int(str(value)) if value else None
