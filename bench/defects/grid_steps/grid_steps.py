from collections import deque

MOVES = [(0, 1), (1, 0), (0, -1), (1, 0)]


def fewest_steps(maze):
    """Steps from S to E through a maze of text lines; None when there is no way."""
    cells = {(r, c): sign for r, line in enumerate(maze) for c, sign in enumerate(line)}
    start = next(place for place, sign in cells.items() if sign == "S")
    todo = deque([(start, 0)])
    seen = {start}
    while todo:
        (r, c), steps = todo.popleft()
        if cells[r, c] == "E":
            return steps
        for dr, dc in MOVES:
            place = (r + dr, c + dc)
            if cells.get(place, "#") != "#" and place not in seen:
                seen.add(place)
                todo.append((place, steps + 1))
    return None
