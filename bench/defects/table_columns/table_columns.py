def render(rows, gap="  "):
    """Columns as wide as their longest cell; no spaces at the end of a line."""
    if not rows:
        return ""
    count = max(len(row) for row in rows)
    padded = [list(row) + [""] * (count - len(row)) for row in rows]
    widths = [max(len(str(row[i])) for row in padded) for i in range(count)]
    lines = []
    for row in padded:
        cells = [str(cell).ljust(width) for cell, width in zip(row, widths)]
        lines.append(gap.join(cells))
    return "\n".join(lines)
