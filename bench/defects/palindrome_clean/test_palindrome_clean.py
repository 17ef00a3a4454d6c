import pytest
from palindrome_clean import is_palindrome, longest_palindrome


@pytest.mark.parametrize("text", ["", "a", "Anna", "A man, a plan, a canal: Panama", "12 21", "1a1"])
def test_palindrome(text):
    assert is_palindrome(text)


@pytest.mark.parametrize("text", ["ab", "12", "a1b", "race cat", "1a2"])
def test_other(text):
    assert not is_palindrome(text)


@pytest.mark.parametrize(
    ("text", "best"), [("", ""), ("x", "x"), ("babad", "bab"), ("cbbd", "bb"), ("banana", "anana")]
)
def test_longest(text, best):
    assert longest_palindrome(text) == best
