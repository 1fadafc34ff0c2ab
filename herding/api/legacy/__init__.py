"""The model registry and chat call of older clients."""
