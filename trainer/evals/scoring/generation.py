"""Continue prompts, in batches that are the same for any number of ranks: the samples depend on the seed alone."""

from collections.abc import Iterator, Sequence

from trainer.evals.candidate import Candidate
from trainer.evals.scoring.sharding import ExampleSharding

PROMPTS_PER_BATCH = 8
SEED = 1


def continue_prompts(
    candidate: Candidate, prompts: Sequence[list[int]], new_tokens: int, *, top_k: int | None = None, stop: str | None = None
) -> list[str]:
    """Return the model's text after each prompt, up to the first `stop` or end of text. A long prompt loses its start."""
    room = candidate.model.context_tokens - new_tokens
    if room < 1:
        raise ValueError(f"{new_tokens} new tokens: the context holds {candidate.model.context_tokens}")
    tails = [list(prompt[-room:]) for prompt in prompts]
    batches = [(start, tails[start : start + PROMPTS_PER_BATCH]) for start in range(0, len(tails), PROMPTS_PER_BATCH)]
    sharding = ExampleSharding.current()
    stop_id = candidate.tokenizer.eot_id if stop is None else candidate.tokenizer.encode(stop)[0]

    def texts() -> Iterator[list[str]]:
        for start, batch in sharding.shard(batches):
            rows = candidate.model.generate(batch, new_tokens, top_k=top_k, seed=SEED + start, stop_id=stop_id)
            yield [_text(candidate, row, stop) for row in rows]

    return [text for batch in sharding.gather(texts) for text in batch]


def _text(candidate: Candidate, row: list[int], stop: str | None) -> str:
    if candidate.tokenizer.eot_id in row:
        row = row[: row.index(candidate.tokenizer.eot_id)]
    text = candidate.tokenizer.decode(row)
    return text if stop is None else text.split(stop, 1)[0]
