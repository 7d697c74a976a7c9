"""The stage `overlap`: how much of evaluation sets the corpus holds."""
