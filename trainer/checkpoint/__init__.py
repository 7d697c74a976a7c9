"""Checkpoints: folders of safetensors that are either complete or absent.

    step_00001000/  checkpoint.json   step, seed, tokens, fingerprints, recipe, size and sha256 of each other file, its own sha256
                    model/            weights, one safetensors file per rank
                    optimizer/        the optimizer's moments and the gradient guard's history
                    tokenizer/        the tokenizer, so that sampling, evaluation and export need nothing else

No file can run code: safetensors reads the tensors, the rest is JSON. `save` writes a temporary folder, syncs it and renames it.
"""
