from config_merge import read_options


def test_values():
    assert read_options(["a=1", "B = x"]) == {"a": "1", "b": "x"}


def test_flags():
    assert read_options(["verbose"]) == {"verbose": True}


def test_later_wins():
    assert read_options(["a=1", "A=2"]) == {"a": "2"}


def test_base_is_extended():
    assert read_options(["a=1"], {"b": "2"}) == {"b": "2", "a": "1"}


def test_base_is_untouched():
    base = {"a": "0"}
    read_options(["a=1"], base)
    assert base == {"a": "0"}


def test_empty_value():
    assert read_options(["a="]) == {"a": ""}
