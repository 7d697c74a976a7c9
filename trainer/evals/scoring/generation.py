"""What tasks of writing share: prompts in batches of fixed make-up, so that what is drawn depends on the seed alone."""

from collections.abc import Sequence

from trainer.evals.candidate import Candidate
from trainer.evals.scoring.sharding import Ranks

PROMPTS_AT_ONCE = 8
SEED = 1


def continuations(
    candidate: Candidate, prompts: Sequence[list[int]], new_tokens: int, *, top_k: int | None = None, stop: str | None = None
) -> list[str]:
    """What the model writes after each prompt, before the first `stop` or end of text. Prompts keep their end where they are too long."""
    room = candidate.model.context_tokens - new_tokens
    if room < 1:
        raise ValueError(f"{new_tokens} new tokens: the context holds {candidate.model.context_tokens}")
    kept = [list(prompt[-room:]) for prompt in prompts]
    batches = [(start, kept[start : start + PROMPTS_AT_ONCE]) for start in range(0, len(kept), PROMPTS_AT_ONCE)]
    ranks = Ranks.current()
    stop_id = candidate.tokenizer.eot_id if stop is None else candidate.tokenizer.encode(stop)[0]
    written = []
    for start, batch in ranks.mine(batches):
        rows = candidate.model.generate(batch, new_tokens, top_k=top_k, seed=SEED + start, stop_id=stop_id)
        written.append([_text(candidate, row, stop) for row in rows])
    return [text for batch in ranks.merge(written) for text in batch]


def _text(candidate: Candidate, row: list[int], stop: str | None) -> str:
    if candidate.tokenizer.eot_id in row:
        row = row[: row.index(candidate.tokenizer.eot_id)]
    text = candidate.tokenizer.decode(row)
    return text if stop is None else text.split(stop, 1)[0]
