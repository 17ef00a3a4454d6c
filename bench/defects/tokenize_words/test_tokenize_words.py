import pytest
from tokenize_words import shell_words


@pytest.mark.parametrize(
    ("text", "words"),
    [("", []), ("ls -l", ["ls", "-l"]), ("  a   b ", ["a", "b"]), ("echo 'a b'", ["echo", "a b"]), ("x ''", ["x", ""]), ("a'b c'd", ["ab cd"])],
)
def test_words(text, words):
    assert shell_words(text) == words


@pytest.mark.parametrize("text", ["'", "a 'b"])
def test_open_quote(text):
    with pytest.raises(ValueError):
        shell_words(text)
