"""Pages: fetch the links politely and safely, and keep what came as WARC files."""
