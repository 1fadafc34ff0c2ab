"""The Review tab: a queue of responses to rate."""
