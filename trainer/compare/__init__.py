"""`webtext-train compare`: trains the same small network on several corpora and says which corpus is better, with error bars."""
