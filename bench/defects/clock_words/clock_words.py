def show_duration(seconds):
    """Hours, minutes and seconds as 1:02:03, or 2:03 below an hour."""
    if seconds < 0:
        return "-" + show_duration(-seconds)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 24)
    if hours:
        return f"{hours}:{minutes:02d}:{seconds:02d}"
    return f"{minutes}:{seconds:02d}"
