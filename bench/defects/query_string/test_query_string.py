from query_string import first, parse_query


def test_empty():
    assert parse_query("") == {}
    assert parse_query("?") == {}


def test_simple():
    assert parse_query("a=1&b=2") == {"a": ["1"], "b": ["2"]}


def test_repeated():
    assert parse_query("?a=1&a=2") == {"a": ["1", "2"]}


def test_no_value():
    assert parse_query("flag") == {"flag": [""]}


def test_equal_sign_in_value():
    assert parse_query("q=a=b") == {"q": ["a=b"]}


def test_plus():
    assert parse_query("q=a+b") == {"q": ["a b"]}


def test_first():
    assert first(parse_query("a=1&a=2"), "a") == "1"
    assert first({}, "a", "x") == "x"
