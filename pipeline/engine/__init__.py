"""How a stage's work runs: parts, receipts, workers, Beam pipelines."""
