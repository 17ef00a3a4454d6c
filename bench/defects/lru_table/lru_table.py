from collections import OrderedDict


class Recent:
    """The last few entries that were written or read."""

    def __init__(self, capacity):
        self.capacity = capacity
        self.entries = OrderedDict()

    def read(self, key):
        if key not in self.entries:
            return None
        return self.entries[key]

    def write(self, key, value):
        if key in self.entries:
            self.entries.move_to_end(key)
        self.entries[key] = value
        if len(self.entries) > self.capacity:
            self.entries.popitem(last=False)
