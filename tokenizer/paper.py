"""Constants of GPT-2's tokenizer, from the paper (Radford et al. 2019, section 2.2) and OpenAI's published code."""

from typing import Final

VOCAB_SIZE: Final = 50_257
"""Section 2.2: "The vocabulary is expanded to 50,257": 256 bytes, 50,000 merges and the end of text."""

END_OF_TEXT: Final = "<|endoftext|>"
"""Ends every document. In GPT-2's vocabulary it is the last id, 50256."""

EOT_ID: Final = VOCAB_SIZE - 1

SPLIT_PATTERN: Final = r"""'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""
"""openai/gpt-2 src/encoder.py: text is split into these pre-tokens, and no merge crosses their boundaries."""


def byte_alphabet() -> str:
    """The printable character of each byte, 0 to 255 (openai/gpt-2 src/encoder.py, bytes_to_unicode).

    Bytes 33-126, 161-172 and 174-255 map to themselves; the other 68 map to U+0100 onwards, in order.
    """
    own = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = iter(range(256, 256 + 68))
    return "".join(chr(byte if byte in own else next(others)) for byte in range(256))


def byte_ids() -> tuple[int, ...]:
    """The id of each byte. GPT-2 numbers the 256 printable characters in the order of their code points."""
    order = {character: number for number, character in enumerate(sorted(byte_alphabet()))}
    return tuple(order[character] for character in byte_alphabet())
