"""The token of a run, which each call of a worker to the runner carries."""

VARIABLE = "WEBTEXT_RUN_TOKEN"
"""Environment variable with the token."""
METADATA_KEY = "webtext-run-token"
"""Its key in the metadata of a call."""
