import pytest
from title_words import title


@pytest.mark.parametrize(
    ("text", "headline"),
    [
        ("", ""),
        ("the lord of the rings", "The Lord of the Rings"),
        ("what are you up to", "What Are You Up To"),
        ("a", "A"),
        ("COMING IN", "Coming In"),
        ("gone  with   wind", "Gone With Wind"),
        ("salt and pepper", "Salt and Pepper"),
        ("of mice and men", "Of Mice and Men"),
        ("to be of and in the", "To Be of and in The"),
        ("in the", "In The"),
    ],
)
def test_title(text, headline):
    assert title(text) == headline
