"""The stage `vocabulary`: unique documents to a byte-level BPE tokenizer."""
