"""What a person does with a finished corpus: inspect it, trace its tokens, verify it, join it, remove documents from it."""
