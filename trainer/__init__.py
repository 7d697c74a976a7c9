"""GPT-2 and the `webtext-train` command."""
