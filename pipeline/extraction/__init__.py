"""Documents: the text of a page, its language, and the rules that keep or drop it."""
