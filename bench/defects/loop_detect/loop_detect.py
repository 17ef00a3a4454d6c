class Link:
    def __init__(self, value, following=None):
        self.value = value
        self.following = following


def has_loop(head):
    """Whether a chain of links comes back to itself."""
    slow = fast = head
    while fast.following is not None:
        slow = slow.following
        fast = fast.following.following
        if slow is fast:
            return True
    return False
