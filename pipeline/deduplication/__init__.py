"""De-duplication: shingles, signatures, candidate pairs, verified similarity and the choice of what is kept."""
