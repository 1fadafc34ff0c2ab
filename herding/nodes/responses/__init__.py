"""The responses of servers: read tolerantly, and turned into chunks, counts and errors."""
