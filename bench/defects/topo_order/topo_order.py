from collections import deque


def order(dependencies):
    """Names so that each comes after what it depends on; ValueError for a cycle."""
    waiting = {name: 0 for name in dependencies}
    users = {name: [] for name in dependencies}
    for name, needed in dependencies.items():
        for other in needed:
            waiting[name] += 1
            users[name].append(other)
    ready = deque(sorted(name for name, count in waiting.items() if count == 0))
    result = []
    while ready:
        name = ready.popleft()
        result.append(name)
        for user in users[name]:
            waiting[user] -= 1
            if waiting[user] == 0:
                ready.append(user)
    if len(result) < len(dependencies):
        raise ValueError("cycle")
    return result
