"""Scores and continuations from a language model: likelihoods, sliding windows, choices, generation, sharding over ranks."""
