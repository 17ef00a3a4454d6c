class Link:
    def __init__(self, value, following=None):
        self.value = value
        self.following = following


class Chain:
    """A singly linked list."""

    def __init__(self, values=()):
        self.head = None
        self.size = 0
        for value in reversed(list(values)):
            self.head = Link(value, self.head)
            self.size += 1

    def __iter__(self):
        link = self.head
        while link is not None:
            yield link.value
            link = link.following

    def remove(self, value):
        """Take out the first link of that value; whether there was one."""
        previous, link = None, self.head
        while link is not None:
            if link.value == value:
                if previous is None:
                    self.head = link.following
                else:
                    previous.following = link
                self.size -= 1
                return True
            previous, link = link, link.following
        return False
