"""The prompt engineer tab."""
