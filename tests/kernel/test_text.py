"""Names that are told apart, however many are equal."""

from stepsize.kernel.text import tell_apart


def test_names_that_look_numbered_already_stay_and_the_others_go_round_them():
    assert tell_apart(["a", "a (2)", "a", "a", "a (2)"]) == ["a", "a (2)", "a (3)", "a (4)", "a (2) (2)"]


def test_a_hundred_thousand_equal_names_are_numbered_in_one_pass():
    """Each compared with all before it would be five thousand million comparisons."""
    names = tell_apart(["a"] * 100_000)
    assert (names[0], names[1], names[-1], len(set(names))) == ("a", "a (2)", "a (100000)", 100_000)
