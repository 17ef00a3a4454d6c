from natural_order import natural_key, natural_sort


def test_numbers_by_value():
    assert natural_sort(["file10", "file2", "file1"]) == ["file1", "file2", "file10"]


def test_case_does_not_matter():
    assert natural_sort(["b", "A", "c"]) == ["A", "b", "c"]


def test_key():
    assert natural_key("Ab12c") == ["ab", 12, "c"]


def test_several_numbers():
    assert natural_sort(["1.10", "1.9", "1.2"]) == ["1.2", "1.9", "1.10"]


def test_plain():
    assert natural_sort(["x", "m"]) == ["m", "x"]
