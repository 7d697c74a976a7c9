"""The command line: commands, flags, exit codes."""
