"""A module a stage: read, transform, write, nothing else. Each ends in `STAGE`, which `pipeline.stages` lists."""
