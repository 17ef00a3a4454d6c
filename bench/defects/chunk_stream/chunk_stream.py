def chunks(items, size):
    """Lists of size items; the last may be shorter."""
    if size < 1:
        raise ValueError("size must be positive")
    chunk = []
    for item in items:
        chunk.append(item)
        if len(chunk) == size:
            yield chunk
    if chunk:
        yield chunk
