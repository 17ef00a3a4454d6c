def flood_fill(grid, row, column, colour):
    """Paint the connected area of one colour; a new grid is returned."""
    painted = [list(line) for line in grid]
    old = painted[row][column]
    if old == colour:
        return painted
    stack = [(row, column)]
    while stack:
        r, c = stack.pop()
        inside = 0 <= r < len(painted) and 0 <= c < len(painted[0])
        if painted[r][c] == old:
            painted[r][c] = colour
            stack += [(r + 1, c), (r - 1, c), (r, c + 1), (r, c - 1)]
    return painted
