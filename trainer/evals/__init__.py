"""Zero-shot evaluation: the GPT-2 paper's own tasks and a held-out split, one file a task, each number with its protocol."""
