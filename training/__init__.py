"""Training programs of the bundled models; nothing here is imported when the app runs."""
