"""`pipeline inspect`: questions to a corpus, answered in a terminal."""

import argparse
import sys
from collections.abc import Iterator

import numpy as np

from pipeline.corpus import trace
from pipeline.corpus.folder import DATA_STAGES, Corpus, funnel
from pipeline.corpus.tool import Tool
from pipeline.corpus.trace import Row, Span, Story
from pipeline.storage import files
from pipeline.storage.files import InputError
from tokenizer.codec import Tokenizer
from tokenizer.stream import Stream

MOST_FOUND = 10
DUPLICATES_SHOWN = 20


def overview(corpus: Corpus) -> Iterator[str]:
    """What the corpus holds, a line a step and a split."""
    for step in funnel(corpus):
        lost = ", ".join(f"{items:,} {reason}" for reason, items in step.lost.items())
        yield f"{step.items:>14,}  {step.name}" + (f"  (lost: {lost})" if lost else "")
    if "tokens" in corpus.folders:
        for name, split in trace.token_manifest(corpus).splits.items():
            yield f"{split.tokens:>14,}  tokens of {split.documents:,} documents in split '{name}'"


def told(story: Story) -> Iterator[str]:
    """A story from the submissions to the tokens."""
    yield story.key
    if not any((story.link, story.page, story.documents)):
        yield "  not in this corpus"
    if story.link:
        for post in story.link["submissions"]:
            when = f", {post['created_at']:%Y-%m-%d}" if post["created_at"] else ""
            yield f"  submission t3_{post['id']} in r/{post['subreddit']}, karma {post['karma']}{when}"
        yield f"  link {story.link['url']}, karma {story.link['karma']}"
    if story.page:
        page = story.page
        yield f"  page {page['status']} {page['media_type'] or 'of no media type'}, fetched {page['fetched_at']:%Y-%m-%d %H:%M:%S}"
        yield f"  WARC record {page['warc_file']} at {page['warc_offset']}, {page['warc_length']} bytes"
    for document in story.documents:
        yield f"  document {document['document_id'].hex()}: {document['title'] or 'no title'} [{document['language']}]"
    for drop in story.drops:
        yield f"  dropped by {drop['stage']}: {drop['reason']}" + (f" ({drop['detail']})" if drop["detail"] else "")
    yield from _duplicates(story)
    for span in story.spans:
        yield f"  tokens {span.start:,} to {span.start + span.tokens:,} of split '{span.split}', in {span.shard}"


def _duplicates(story: Story) -> Iterator[str]:
    for row in story.removed_for:
        yield f"  kept instead: {row['kept_url']} ({row['reason']}, similarity {row['similarity']:.3f})"
    for row in story.stands_for[:DUPLICATES_SHOWN]:
        yield f"  stands for {row['url']} ({row['reason']}, similarity {row['similarity']:.3f})"
    if len(story.stands_for) > DUPLICATES_SHOWN:
        yield f"  and for {len(story.stands_for) - DUPLICATES_SHOWN:,} more"


def traced(corpus: Corpus, split: str, start: int, tokens: int) -> Iterator[str]:
    """A window of tokens: its text, and the story of every document that it touches."""
    spans = trace.window(corpus, split, start, tokens)
    yield f"tokens {start:,} to {start + tokens:,} of split '{split}':"
    yield decoded(corpus, split, start, tokens)
    for span in spans:
        here = min(span.start + span.tokens, start + tokens) - max(span.start, start)
        yield ""
        yield f"{here:,} of these are of document {span.document_id.hex()}, which has {span.tokens:,}, in {span.shard}:"
        for story in _stories_of(corpus, span):
            yield from told(story)


def _stories_of(corpus: Corpus, span: Span) -> list[Story]:
    """The one that gave the tokens: of several documents of one text, the kept one."""
    found = trace.stories(corpus, trace.keys_of_documents(corpus, [span.document_id]))
    return [story for story in found if span in story.spans]


def decoded(corpus: Corpus, split: str, start: int, tokens: int) -> str:
    """The text of a window; an end of text is written out."""
    folder = corpus.folders["tokens"]
    tokenizer = Tokenizer.load(folder)
    ids = np.empty(tokens, np.int64)
    Stream(trace.token_manifest(corpus).open(split, verify=False)).read(start, ids)
    pieces = np.split(ids, np.flatnonzero(ids == tokenizer.eot_id) + 1)
    return "<|endoftext|>".join(tokenizer.decode(piece) for piece in pieces)


def keys_asked(corpus: Corpus, arguments: argparse.Namespace) -> list[str]:
    """The page addresses that the flags ask for."""
    keys = [trace.key_of(url) for url in arguments.url]
    keys += trace.keys_of_documents(corpus, document_ids(arguments.document)) if arguments.document else []
    keys += trace.keys_of_submissions(corpus, arguments.submission) if arguments.submission else []
    keys += trace.keys_with_text(corpus, arguments.text, MOST_FOUND) if arguments.text else []
    return list(dict.fromkeys(keys))


def document_ids(texts: list[str]) -> list[bytes]:
    """Ids as people write them, 32 hexadecimal digits. Raises InputError for others."""
    for text in texts:
        if len(text) != 32 or set(text.lower()) - set("0123456789abcdef"):
            raise InputError(f"{text}: a document id has 32 hexadecimal digits")
    return [bytes.fromhex(text) for text in texts]


def _text(corpus: Corpus, document: Row) -> str:
    return trace.text_of(corpus, document["document_id"], document["url"]) or ""


def answers(corpus: Corpus, arguments: argparse.Namespace) -> Iterator[str]:
    """Everything that the flags ask, a line each."""
    asked = (arguments.url, arguments.document, arguments.submission, arguments.text, arguments.start is not None)
    if not any(asked):
        yield from overview(corpus)
    if arguments.start is not None:
        yield from traced(corpus, arguments.split, arguments.start, arguments.tokens)
    keys = keys_asked(corpus, arguments)
    if any(asked[:4]) and not keys:
        yield "nothing of that is in this corpus"
    for story in trace.stories(corpus, keys):
        yield from told(story)
        if arguments.show:
            yield from (_text(corpus, document) for document in story.documents)


def _flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--url", nargs="*", default=[], help="what became of these pages, in any spelling of their addresses")
    parser.add_argument("--document", nargs="*", default=[], metavar="ID", help="documents by id")
    parser.add_argument("--submission", nargs="*", default=[], metavar="ID", help="Reddit submissions by id")
    parser.add_argument("--text", help=f"documents that hold this text (the first {MOST_FOUND})")
    parser.add_argument("--start", type=int, metavar="N", help="trace the tokens from this position of a split")
    parser.add_argument("--tokens", type=int, default=256, metavar="N", help="so many of them (default: 256)")
    parser.add_argument("--split", default="train", help="the split of --start (default: train)")
    parser.add_argument("--show", action="store_true", help="print the texts of the documents found")


def _work(arguments: argparse.Namespace) -> None:
    corpus = Corpus.open({name: files.join(arguments.corpus, name) for name in DATA_STAGES})
    for line in answers(corpus, arguments):
        sys.stdout.write(f"{line}\n")


TOOL = Tool("inspect", "what a corpus holds; pages, documents, submissions and windows of tokens traced both ways", _flags, _work)
