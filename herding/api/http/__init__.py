"""What all routes share: dependencies, replies, errors, events."""
