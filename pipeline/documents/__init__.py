"""The stage `documents`: the main text of every page."""
