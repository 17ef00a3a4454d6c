class RingBuffer:
    """A queue of fixed capacity; the oldest item makes room."""

    def __init__(self, capacity):
        self.slots = [None] * capacity
        self.start = 0
        self.size = 0

    def push(self, item):
        end = (self.start + self.size) % len(self.slots)
        self.slots[end] = item
        if self.size < len(self.slots):
            self.size += 1
        else:
            self.start = (self.start + 1) % len(self.slots)

    def pop(self):
        if self.size == 0:
            raise IndexError("empty")
        item = self.slots[self.start]
        self.start = self.start + 1
        self.size -= 1
        return item

    def items(self):
        return [self.slots[(self.start + i) % len(self.slots)] for i in range(self.size)]
