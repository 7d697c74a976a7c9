"""Evaluation tasks, one module per task or family: its files, how they are read, and how a model is scored on them."""
