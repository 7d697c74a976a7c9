import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.documents import charset, cleaning

ANY_CHARACTERS = st.text(st.characters(codec=None), max_size=300)


@pytest.mark.parametrize("line", [
    "Read more »", "READ MORE: Something else happened", "Share this article on Facebook", "Advertisement", "3 Comments",
    "Sign up for our newsletter", "All rights reserved.", "© 2017 The Daily Planet", "We use cookies to improve your visit.",
    "Please enable JavaScript to view the comments.", "Skip to main content", "Follow her on Twitter @someone", "DON'T MISS",
    "Privacy Policy", "Click here for more information.", "Leave a reply", "Related articles", "Get the latest news in your inbox",
])  # fmt: skip
def test_furniture_is_removed(line: str) -> None:
    assert cleaning.strip_boilerplate(f"The cat sat.\n{line}\nThe dog ran.") == ("The cat sat.\nThe dog ran.", 1)


@pytest.mark.parametrize("line", [
    "The cookies were still warm when she came home.", "Share prices fell by a third in the first hour of trading.",
    "Comments by the minister were not well received.", "He follows the old road to the harbour.",
    "Watch out for the dog.", "Email had not been invented.", "Follow the money.", "Print was dying.", "Related to this is the tide.",
    "Sign language is a language.", "Accepting the prize, she wept.", "Read the whole book before you judge it.",
])  # fmt: skip
def test_prose_is_kept(line: str) -> None:
    assert cleaning.strip_boilerplate(line) == (line, 0)


@pytest.mark.parametrize("text", [
    "The server may ask its clients to\nregister applications as OAuth clients before first use; if no\nsuch record exists, it fails.",
    "They came from the far side of the\nShare and\nlay in the harbour.",
    "1. Start the machine.\nLog in to the server as root and run the installer.\nRegister a callback with the event loop.",
    "Click to select the layer that you want to move.", "Click to share the load between two ropes.",
    'config = {\n    "Comment": {\n        "x": 1\n    }\n}', "switch (x) {\n    share\n    print\n}", '"comments": [', "{comment}",
    "Published in 1925, it sold a million copies.", "Posted to the north in 1914, he wrote home.",
    "Updated editions came out in 1950 and 1971.",
    "Read more books than you did last year.", "Read more in the second chapter.", "Continue reading until you fall asleep.",
    "Register your vote by Friday, said the clerk.", "Sign up and sail away, they told him.", "Subscribe to no opinion.",
    "Privacy policy is made in Brussels.", "Terms of service were three years.", "Related to this: the tide.", "Watch: it comes back.",
    "Get the parcels delivered before noon", "See also how the light moves.", "Log in the stove.",
    "Leave a comment to nobody but yourself.",
])  # fmt: skip
def test_neither_prose_nor_code_is_removed(text: str) -> None:
    assert cleaning.strip_boilerplate(text) == (text, 0)


@settings(max_examples=300, deadline=None)
@given(ANY_CHARACTERS)
def test_cleaning_is_idempotent_on_any_text(text: str) -> None:
    once = charset.clean(text)
    assert charset.clean(once) == once
    once.encode()
    for step in (cleaning.tidy, lambda t: cleaning.strip_boilerplate(t)[0]):
        cleaned = step(once)
        assert step(cleaned) == cleaned


@pytest.mark.parametrize(("heading", "text", "rest"), [
    ("A storm is coming", "A storm is coming\nStay at home.", "Stay at home."),
    ("A storm is coming | The Daily", "A Storm is Coming\nStay at home.", "Stay at home."),
    ("A storm is coming", "By our reporter\nA storm is coming!\nStay at home.", "Stay at home."),
    ("Storm", "Stay at home.\nNow.\nPlease.\nStorm", "Stay at home.\nNow.\nPlease.\nStorm"),
    ("Storm warning for the coast", "Storm\nStay at home.", "Storm\nStay at home."),
    ("", "Stay at home.", "Stay at home."),
])  # fmt: skip
def test_title_is_removed_from_the_text(heading: str, text: str, rest: str) -> None:
    assert cleaning.strip_title(text, frozenset({heading}))[0] == rest


TITLE = "Keepers Saw a Ship"


@pytest.mark.parametrize("trail", [
    f"HomeSPORT NEWS{TITLE}", f"Home » News » {TITLE}", f"News > Coast > {TITLE} >", f"Start / News / {TITLE}", f"Startseite News {TITLE}",
    f"News › {TITLE}…", f"News | Coast | {TITLE}", f"Главная → {TITLE}", f"Accueil :: Mer :: {TITLE}", f"News » {TITLE[:14]}…",
    f"» {TITLE}", f"Home News {TITLE}\n{TITLE}",
])  # fmt: skip
def test_a_trail_of_sections_that_ends_in_the_title_goes_with_it(trail: str) -> None:
    assert cleaning.strip_title(f"{trail}\nStay.", frozenset({TITLE, ""})) == ("Stay.", True)


@pytest.mark.parametrize("line", [
    f"Last week the {TITLE}", f"Home is where the {TITLE}.", f"Housekeepers{TITLE[7:]}", "News » Coast", "News »",
    f"{TITLE} » News of 2017", "a/b",
])  # fmt: skip
def test_a_line_that_is_no_trail_to_the_title_stays(line: str) -> None:
    assert cleaning.strip_title(f"{line}\nStay.", frozenset({TITLE, ""}))[0].startswith(line)


@pytest.mark.parametrize(("host", "site"), [
    ("wikipedia.org", "wikipedia.org"), ("en.m.Wikipedia.org.", "wikipedia.org"), ("notwikipedia.org", None), ("org", None), ("", None),
])  # fmt: skip
def test_host_belongs_to_a_site_itself_or_as_a_subdomain(host: str, site: str | None) -> None:
    assert cleaning.on_site(host, frozenset({"wikipedia.org"})) == site
