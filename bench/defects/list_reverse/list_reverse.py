class Link:
    def __init__(self, value, following=None):
        self.value = value
        self.following = following


def from_values(values):
    head = None
    for value in reversed(values):
        head = Link(value, head)
    return head


def to_values(head):
    values = []
    while head is not None:
        values.append(head.value)
        head = head.following
    return values


def reverse(head):
    """The list turned round, in place."""
    previous = None
    while head is not None:
        following = head.following
        head.following = previous
        head = following
    return previous
