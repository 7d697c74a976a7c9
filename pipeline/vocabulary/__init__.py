"""The stage `vocabulary`: documents to a byte-level BPE vocabulary."""
