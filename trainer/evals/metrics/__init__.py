"""Metrics that several tasks share: answer matching, ROUGE, perplexity of tokenized text."""
