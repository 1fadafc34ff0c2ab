"""Charts as SVG, and the sums that they show."""
