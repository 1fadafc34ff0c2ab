"""Stars as the page sends them."""

from __future__ import annotations

from herding.errors import UserError


def parse_stars(value: int) -> int | None:
    """Return the stars of a field, None for 0. Raises UserError for other values."""
    if not 0 <= value <= 5:
        raise UserError("Select 1 to 5 stars.", param="score")
    return value or None
