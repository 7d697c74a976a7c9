"""`webtext inspect`: answer questions about a corpus in a terminal."""

import argparse
import sys
from collections.abc import Iterator

import numpy as np

from pipeline.corpus import trace
from pipeline.corpus.folder import CorpusFolder, funnel, stage_folders
from pipeline.corpus.token_spans import TokenSpan, open_dataset, spans_in_window
from pipeline.corpus.tool import Tool
from pipeline.corpus.trace import ParquetRow, Story
from tokenizer.codec import Tokenizer
from tokenizer.labels import printable, printable_text
from tokenizer.stream import Stream

TEXT_MATCHES_SHOWN = 10
DUPLICATES_SHOWN = 20


def overview_lines(corpus: CorpusFolder) -> Iterator[str]:
    """What the corpus holds: one line per step of the funnel and per split."""
    for step in funnel(corpus):
        lost = ", ".join(f"{items:,} {reason}" for reason, items in step.lost.items())
        yield f"{step.items:>14,}  {step.name}" + (f"  (lost: {lost})" if lost else "")
    if "tokens" in corpus.folders:
        for name, split in open_dataset(corpus).splits.items():
            yield f"{split.tokens:>14,}  tokens of {split.documents:,} documents in split '{name}'"


def story_lines(story: Story) -> Iterator[str]:
    """A page's story, from the submissions to the tokens, as the corpus holds it: print it by `tokenizer.labels.printable`."""
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
        yield f"  page {page['status']} {page['media_type'] or 'without media type'}, fetched {page['fetched_at']:%Y-%m-%d %H:%M:%S}"
        yield f"  WARC record {page['warc_file']} at {page['warc_offset']}, {page['warc_length']} bytes"
        yield from _archive_lines(page)
    for document in story.documents:
        yield f"  document {document['document_id'].hex()}: {document['title'] or 'no title'} [{document['language']}]"
    for drop in story.drops:
        yield f"  dropped by {drop['stage']}: {drop['reason']}" + (f" ({drop['detail']})" if drop["detail"] else "")
    yield from _duplicate_lines(story)
    for span in story.spans:
        yield f"  tokens {span.start:,} to {span.start + span.tokens:,} of split '{span.split}', in {span.shard}"


def _archive_lines(page: ParquetRow) -> Iterator[str]:
    """Where a page out of an archive came from."""
    if page.get("source") in (None, "live"):
        return
    days = page["distance_days"]
    distance = "" if days is None else f", {abs(days):,.1f} days {'before' if days < 0 else 'after'} the submission"
    yield f"  captured {page['captured_at']:%Y-%m-%d %H:%M:%S}{distance}"
    place = "" if page["archive_offset"] is None else f" at {page['archive_offset']}"
    yield f"  from {page['source']}: {page['archive_file']}{place}" + (f", {page['digest']}" if page["digest"] else "")


def _duplicate_lines(story: Story) -> Iterator[str]:
    for row in story.removed_as:
        yield f"  removed, kept instead: {row['kept_url']} ({row['reason']}, similarity {row['similarity']:.3f})"
    for row in story.kept_over[:DUPLICATES_SHOWN]:
        yield f"  kept, removed instead: {row['url']} ({row['reason']}, similarity {row['similarity']:.3f})"
    if len(story.kept_over) > DUPLICATES_SHOWN:
        yield f"  and {len(story.kept_over) - DUPLICATES_SHOWN:,} more"


def window_lines(corpus: CorpusFolder, split: str, start: int, tokens: int) -> Iterator[str]:
    """A window of tokens: its text, and the story of every document that overlaps it."""
    spans = spans_in_window(corpus, split, start, tokens)
    yield printable(f"tokens {start:,} to {start + tokens:,} of split '{split}':")
    yield printable_text(window_text(corpus, split, start, tokens))
    for span in spans:
        inside = min(span.start + span.tokens, start + tokens) - max(span.start, start)
        yield ""
        yield printable(f"{inside:,} tokens of document {span.document_id.hex()} ({span.tokens:,} tokens, in {span.shard}):")
        for story in _stories_of(corpus, span):
            yield from map(printable, story_lines(story))


def _stories_of(corpus: CorpusFolder, span: TokenSpan) -> list[Story]:
    """The story of the page that gave the tokens: if several pages have the text, only the kept one."""
    stories = trace.stories(corpus, trace.keys_of_documents(corpus, [span.document_id]))
    return [story for story in stories if span in story.spans]


def window_text(corpus: CorpusFolder, split: str, start: int, tokens: int) -> str:
    """The text of a window of tokens; an end of text is written as <|endoftext|>."""
    tokenizer = Tokenizer.load(corpus.folders["tokens"])
    ids = np.empty(tokens, np.int64)
    Stream(open_dataset(corpus).open(split, verify=False)).read(start, ids)
    texts = np.split(ids, np.flatnonzero(ids == tokenizer.eot_id) + 1)
    return "<|endoftext|>".join(tokenizer.decode(text) for text in texts)


def similar_lines(corpus: CorpusFolder, file_or_text: str) -> Iterator[str]:
    """The documents that resemble a text: estimated similarity, id, address, kept or removed, submissions."""
    from pipeline.corpus import like  # datasketch imports SciPy, which takes a second

    index = like.open_index(corpus)
    documents = like.find_similar(corpus, index, like.read_query(file_or_text))
    threshold = f"an estimated similarity of {index.settings.threshold:g} or more to the text"
    if not documents:
        yield f"nothing found: none of {index.documents:,} documents has {threshold}"
        return
    yield f"found {len(documents):,} of {index.documents:,} documents with {threshold}, most similar first:"
    for document in documents:
        yield f"{document.similarity:.3f}  document {document.document_id.hex()}  {document.url}"
        if document.kept:
            yield "       kept"
        elif row := document.removed_as:
            yield f"       removed, kept instead: {row['kept_url']}, document {row['kept_id'].hex()} ({row['reason']})"
        else:
            yield "       removed"
        if document.submissions:
            yield f"       submissions {', '.join(f't3_{name}' for name in document.submissions)}"


def requested_keys(corpus: CorpusFolder, arguments: argparse.Namespace) -> list[str]:
    """The dedup keys of the pages that the flags ask for."""
    keys = [trace.key_of(url) for url in arguments.url]
    keys += trace.keys_of_documents(corpus, trace.parse_document_ids(arguments.document)) if arguments.document else []
    keys += trace.keys_of_submissions(corpus, arguments.submission) if arguments.submission else []
    keys += trace.keys_with_text(corpus, arguments.text, TEXT_MATCHES_SHOWN) if arguments.text else []
    return list(dict.fromkeys(keys))


def _text(corpus: CorpusFolder, document: ParquetRow) -> str:
    return trace.text_of(corpus, document["document_id"], document["url"]) or ""


def answer_lines(corpus: CorpusFolder, arguments: argparse.Namespace) -> Iterator[str]:
    """The answers to all flags; the overview if no flag asks anything."""
    asks_for_pages = any((arguments.url, arguments.document, arguments.submission, arguments.text))
    if not asks_for_pages and arguments.start is None and arguments.like is None:
        yield from map(printable, overview_lines(corpus))
    if arguments.start is not None:
        yield from window_lines(corpus, arguments.split, arguments.start, arguments.tokens)
    if arguments.like is not None:
        yield from map(printable, similar_lines(corpus, arguments.like))
    keys = requested_keys(corpus, arguments)
    if asks_for_pages and not keys:
        yield "nothing in this corpus matches"
    for story in trace.stories(corpus, keys):
        yield from map(printable, story_lines(story))
        if arguments.show:
            yield from (printable_text(_text(corpus, document)) for document in story.documents)


def _flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--url", nargs="*", default=[], help="trace these pages, in any spelling of their addresses")
    parser.add_argument("--document", nargs="*", default=[], metavar="ID", help="trace these documents")
    parser.add_argument(
        "--submission", nargs="*", default=[], metavar="ID", help="trace the pages that these Reddit submissions link to"
    )
    parser.add_argument("--text", help=f"trace the first {TEXT_MATCHES_SHOWN} documents that contain this text")
    parser.add_argument(
        "--like", metavar="FILE|TEXT", help="find copies and near copies of the text of a file, or of a text, by dedup's index"
    )
    parser.add_argument("--start", type=int, metavar="N", help="trace the tokens from this position of a split")
    parser.add_argument(
        "--tokens", type=int, default=256, metavar="N", help="number of tokens to trace from --start (default: 256)"
    )
    parser.add_argument("--split", default="train", help="split of --start (default: train)")
    parser.add_argument("--show", action="store_true", help="print the texts of the traced documents")


def _work(arguments: argparse.Namespace) -> None:
    corpus = CorpusFolder.open(stage_folders(arguments.corpus))
    for line in answer_lines(corpus, arguments):
        sys.stdout.write(f"{line}\n")


TOOL = Tool(
    "inspect",
    _flags,
    _work,
)
