"""Who is asking, and what their role allows."""
