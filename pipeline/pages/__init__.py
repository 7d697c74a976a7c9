"""The stage `pages`: links to pages in WARC files."""
