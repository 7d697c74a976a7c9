"""What the forests are told of a block's relations: to the title, to headings, and to elements and blocks that look alike."""

import importlib
import subprocess
import sys

import numpy as np
import pytest

from pipeline.documents.blocks import compilation, relations
from pipeline.documents.blocks.features import CONTEXT, FEATURES, RELATIONS_AT, describe, describe_context
from pipeline.documents.blocks.page import BlockPage
from pipeline.documents.blocks.relations import AFTER_TITLE, EQUALS, HEADING_LINK, IN_TITLE, OF_TITLE, Scratch
from tokenizer.compiled import cached_variants

LINE = "Nobody in the harbour remembered a night on which the lamp had failed, although storms had taken two roofs."
TEASERS = "".join(f"<div class=teaser><h3><a href=/{k}>Story {k}</a></h3><p>{k} {LINE}</p></div>" for k in range(5))
TWINS, NEXT_HEADING = 10, 22


def related(markup: str) -> tuple[list[str], np.ndarray]:
    """The texts of a page's blocks, and their relations."""
    page = BlockPage.of(markup)
    out = np.full((page.counts.blocks, relations.RELATIONS), np.nan, np.float32)
    relations.describe_relations(page.scanned, page.counts, Scratch.of(page.counts), out, 0)
    assert not np.isnan(out).any()
    return page.block_texts(), out


@pytest.mark.parametrize(
    ("title", "headline"),
    [
        ("A storm is coming", "A storm is coming"),
        ("A storm is coming | The Daily", "A storm is coming"),
        ("The Daily - A storm is coming", "A storm is coming"),
        ("A STORM IS COMING", "A storm is coming"),
        ("A storm  is\ncoming", "A <b>storm</b> is coming"),
        ("Ein Sturm zieht über die Küste", "Ein Sturm zieht über die Küste"),
        ("嵐が近づいている - 港新聞", "嵐が近づいている"),
        ("Надвигается буря", "Надвигается буря"),
        ("A &amp; B are coming to town", "A &amp; B are coming to town"),
        ("عاصفة قادمة إلى المدينة", "عاصفة قادمة إلى المدينة"),
    ],
)
@pytest.mark.parametrize("tag", ["h1", "h2", "div"])
def test_the_title_block_is_found_by_its_text(title: str, headline: str, tag: str) -> None:
    markup = f"<title>{title}</title><p>Home</p><{tag}>{headline}</{tag}><p>{LINE}</p>"
    _, out = related(markup)
    assert out[:, AFTER_TITLE].tolist() == [-1, 0, 1]
    assert out[1, IN_TITLE] >= 0.7
    assert out[1, OF_TITLE] > 0.3
    assert out[2, IN_TITLE] < 0.2


def test_without_a_title_the_first_h1_stands_in() -> None:
    _, out = related(f"<p>{LINE}</p><h1>News</h1><p>{LINE}</p><h1>More</h1>")
    assert out[:, AFTER_TITLE].tolist() == [-1, 0, 1, 2]
    _, out = related(f"<p>{LINE}</p>")
    assert out[0, AFTER_TITLE] == relations.NO_TITLE_BLOCKS


def test_equal_blocks_are_counted() -> None:
    texts, out = related(f"<p>{LINE}</p><p>Something else</p><p>  {LINE}\n</p><p>{LINE}!</p>")
    assert len(texts) == 4
    assert out[:, EQUALS].tolist() == [2, 1, 2, 1]


def test_headings_around_a_block_and_whether_they_are_links() -> None:
    _, out = related("<p>one</p><h2>Plain</h2><p>two</p><h3><a href=/x>Link</a></h3><p>three</p>")
    assert out[:, HEADING_LINK].tolist() == [-1, -1, 0, 0, 1]
    assert out[:, HEADING_LINK + 2].tolist() == [-1, -1, 1, 1, 2]
    assert out[:, NEXT_HEADING].tolist() == [0, 1, 1, -1, -1]


def test_elements_that_repeat_are_twins_and_others_are_none() -> None:
    texts, out = related(f"<main><div class=article><p>{LINE}</p></div></main>{TEASERS}")
    teaser = next(k for k, text in enumerate(texts) if text.startswith("0 "))
    assert out[teaser, TWINS + 2] == 5
    assert out[teaser, TWINS + 3] == pytest.approx(0.2, abs=0.01)
    assert out[0, TWINS + 2] == 1


def test_blocks_that_look_alike_have_the_mean_of_the_others() -> None:
    page = BlockPage.of(f"<p>{LINE}</p>{TEASERS}")
    count = page.counts.blocks
    likely = np.where([text.startswith("Story") for text in page.block_texts()], 0.25, 1.0)
    scratch, features = Scratch.of(page.counts), np.zeros((count, FEATURES), np.float32)
    describe(page.scanned, count, features)
    relations.describe_relations(page.scanned, page.counts, scratch, features, RELATIONS_AT)
    out = np.full((count, CONTEXT), np.nan, np.float32)
    sums = np.zeros((page.counts.elements, 3))
    describe_context(page.scanned, count, page.counts.elements, features, likely, sums, scratch, out)
    assert not np.isnan(out).any()
    alike = out[:, -7:-5]
    assert alike[0].tolist() == [-1, 1]
    assert alike[1::2].tolist() == [[0.25, 5]] * 5
    assert alike[2::2, 0] == pytest.approx(1)


BLOCKS_MODULES = ("attributes", "chooser", "features", "forest", "nesting", "raw_text", "relations", "renderer", "scan", "spaces",
                  "table_layout", "tags", "text_facts", "white_space_style")  # fmt: skip


def variants() -> dict[str, int]:
    """For how many types of arguments each compiled function of the extractor is in the cache."""
    modules = [importlib.import_module(f"pipeline.documents.blocks.{name}") for name in BLOCKS_MODULES]
    functions = [(f"{m.__name__}.{name}", f) for m in modules for name, f in vars(m).items()]
    return {name: cached_variants(f) for name, f in functions if hasattr(f, "signatures")}


def test_each_function_is_compiled_once_by_either_process() -> None:
    compilation.unscanned_page().block_texts()
    compilation.warm_up_attributes()
    compilation.warm_up_choice()
    compilation.warm_up()
    found = variants()
    assert "pipeline.documents.blocks.scan._scan" in found
    assert {name for name, count in found.items() if count != 1} == set()


def test_the_command_of_the_second_process_compiles_and_leaves_garbage_collection_on() -> None:
    assert compilation.SECOND_HALF.endswith("; compile_second_half()")
    code = f"{compilation.SECOND_HALF}; import gc; print(gc.isenabled())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"
