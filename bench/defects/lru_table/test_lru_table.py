from lru_table import Recent


def test_read():
    recent = Recent(2)
    recent.write("a", 1)
    assert recent.read("a") == 1
    assert recent.read("b") is None


def test_oldest_is_forgotten():
    recent = Recent(2)
    for key in "abc":
        recent.write(key, key)
    assert recent.read("a") is None
    assert recent.read("c") == "c"


def test_reading_keeps():
    recent = Recent(2)
    recent.write("a", 1)
    recent.write("b", 2)
    recent.read("a")
    recent.write("c", 3)
    assert recent.read("a") == 1
    assert recent.read("b") is None


def test_writing_keeps():
    recent = Recent(2)
    recent.write("a", 1)
    recent.write("b", 2)
    recent.write("a", 5)
    recent.write("c", 3)
    assert recent.read("a") == 5
    assert len(recent.entries) == 2
