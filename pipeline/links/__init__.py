"""The stage `links`: submissions to links."""
