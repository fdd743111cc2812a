"""A caller's function is told of each step's beginning and of all that is done; without one nothing happens."""

from mixplan.api.progress import Following


def test_a_function_is_told_how_much_of_how_much_is_done():
    told = []
    following = Following(lambda name, done, total: told.append((name, done, total)))
    following.stage("reading", 5, "tokens")
    following.advance(2)
    following.advance(3)
    following.say("a line for a terminal")
    following.stage("measuring", 1, "rows")
    assert told == [("reading", 0, 5), ("reading", 2, 5), ("reading", 5, 5), ("measuring", 0, 1)]


def test_without_a_function_all_is_silent(capsys):
    following = Following(None)
    following.stage("reading", 5, "tokens")
    following.advance(5)
    following.say("a line")
    assert (following.done, following.total) == (5, 5)
    assert capsys.readouterr() == ("", "")
