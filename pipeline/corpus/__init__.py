"""What a person does with a finished corpus: look into it, trace, join, remove from it, write its card."""
