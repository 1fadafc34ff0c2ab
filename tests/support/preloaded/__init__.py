"""What processes import before others are forked from them."""
