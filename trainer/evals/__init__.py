"""Zero-shot evaluation: the tasks of the GPT-2 paper and the corpus's held-out split. Every result states its protocol."""
