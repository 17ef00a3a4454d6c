from anagram_groups import group_anagrams, largest_group


def test_groups():
    assert group_anagrams(["tea", "tan", "eat", "nat", "bat"]) == [["tea", "eat"], ["tan", "nat"], ["bat"]]


def test_case():
    assert group_anagrams(["Tea", "ate"]) == [["Tea", "ate"]]


def test_repeated_letters_count():
    assert group_anagrams(["aab", "abb"]) == [["aab"], ["abb"]]


def test_nothing():
    assert group_anagrams([]) == []
    assert largest_group([]) == []


def test_largest():
    assert largest_group(["x", "ab", "ba"]) == ["ab", "ba"]
