"""The default extractor: one compiled pass over a page's bytes cuts it into blocks, a chooser keeps those of the article, and one renderer
writes their text."""
