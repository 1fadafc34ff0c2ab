"""The Insights tab: metrics of a prompt by version and model, and its routing."""
