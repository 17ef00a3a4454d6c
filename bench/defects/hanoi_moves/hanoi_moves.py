def hanoi(disks, source="A", target="C", spare="B"):
    """The moves that carry a tower from source to target."""
    if disks == 0:
        return []
    moves = hanoi(disks - 1, source, target, spare)
    moves.append((source, target))
    moves.extend(hanoi(disks - 1, spare, target, source))
    return moves
