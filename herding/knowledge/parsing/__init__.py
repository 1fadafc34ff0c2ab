"""Reads documents of all formats and cuts them into chunks, in a child process with limits."""
