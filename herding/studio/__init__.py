"""The prompt repository: versions, labels, drafts and the sync with prompt files."""
