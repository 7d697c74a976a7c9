import base64
import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tokenizer.codec import Tokenizer
from trainer.explain import page as explain
from trainer.explain.activations import dissect, likeness
from trainer.config import InputError, ModelConfig
from trainer.model import GPT


def random_gpt(**shape: Any) -> GPT:
    gpt = GPT(ModelConfig(layers=2, heads=2, width=16, context=32, vocabulary=257, **shape))
    gpt.initialise(5)
    for parameter in gpt.parameters():
        parameter.data += 0.2 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(2))
    return gpt.eval()


def decode(entry: dict[str, Any]) -> Tensor:
    values = np.frombuffer(base64.b64decode(entry["data"]), np.float32).reshape(entry["shape"])
    return torch.from_numpy(values.copy())


def ours(name: str) -> str:
    """minGPT's name of a tensor in this network."""
    pairs = {
        "transformer.wte": "token_embedding", "transformer.wpe": "position_embedding", "transformer.ln_f": "norm",
        "transformer.h": "blocks", "lm_head": "head", "ln_1": "norm_1", "ln_2": "norm_2", "attn.c_attn": "attention.qkv",
        "attn.c_proj": "attention.projection", "mlp.c_fc": "feed_forward.up", "mlp.c_proj": "feed_forward.projection",
    }  # fmt: skip
    for theirs, name_here in pairs.items():
        name = name.replace(theirs, name_here)
    return name


def test_the_trained_networks_own_tensors_are_shown(shared_data: Path) -> None:
    stored = json.loads((shared_data / "nano/model.json").read_text())
    partials = json.loads((shared_data / "nano/partials.json").read_text())
    gpt = GPT(ModelConfig(layers=3, heads=3, width=48, context=11, vocabulary=3, tied=False))
    tensors = {ours(name): decode(entry) for name, entry in stored.items() if name.endswith(("weight", "bias"))}
    gpt.load_state_dict({name: tensors[name] for name in gpt.state_dict()})
    known = {name: decode(partials[name]) for name in ("idx", "attSm", "x", "block0", "block1", "block2", "probs")}
    for row in range(3):
        found = dissect(gpt, known["idx"][row].long().tolist())
        assert (found.attention_LHTT[0] - known["attSm"][row]).abs().max() < 1e-6
        for layer, name in enumerate(("x", "block0", "block1", "block2")):
            assert (found.stream_LTD[layer] - known[name][row]).abs().max() < 2e-5
        assert (found.probabilities_TV - known["probs"][row]).abs().max() < 1e-5


@pytest.mark.parametrize("shape", [{}, {"positions": "rotary", "qk_norm": True}])
def test_attention_shown_is_attention_done(shape: dict[str, Any]) -> None:
    """The weights, applied to the layer's own values, give what the layer gives."""
    gpt = random_gpt(**shape)
    attention = gpt.blocks[1].attention
    seen: dict[str, Tensor] = {}
    attention.qkv.register_forward_hook(lambda _m, _i, out: seen.update(qkv=out))
    attention.register_forward_hook(lambda _m, _i, out: seen.update(given=out))
    found = dissect(gpt, [256, 10, 20, 30, 20, 10])
    values = seen["qkv"].chunk(3, -1)[2].view(6, 2, 8).transpose(0, 1)
    gathered = attention.projection((found.attention_LHTT[1] @ values).transpose(0, 1).flatten(1))
    torch.testing.assert_close(gathered, seen["given"][0], atol=1e-5, rtol=1e-5)
    assert found.attention_LHTT.triu(1).abs().max() == 0
    torch.testing.assert_close(found.attention_LHTT.sum(-1), torch.ones(2, 2, 6))


def test_losses_and_next_tokens_are_the_models() -> None:
    gpt = random_gpt()
    ids = [256, 65, 66, 65]
    found = dissect(gpt, ids)
    with torch.no_grad():
        logits = gpt(torch.tensor([ids]))[0]
    expected = torch.nn.functional.cross_entropy(logits[:-1], torch.tensor(ids[1:]), reduction="none")
    assert found.nats == pytest.approx(expected.tolist(), rel=1e-5)
    best, probability = found.likeliest(3, 5)[0]
    assert best == int(logits[3].argmax())
    assert probability == pytest.approx(float(logits[3].softmax(-1).max()))


def test_one_word_in_two_contexts() -> None:
    gpt = random_gpt()
    first, second = dissect(gpt, [256, 65, 66]), dissect(gpt, [256, 99, 66])
    alike = likeness(first, 2, second, 2)
    assert alike[0] == pytest.approx(1.0)
    assert max(alike[1:]) < 0.9999
    assert len(alike) == 3


def test_the_page_holds_the_models_figures() -> None:
    gpt, tokenizer = random_gpt(), Tokenizer([])
    page = explain.page(gpt, tokenizer, "a </script> b", "b a")
    data = json.loads(page.split('id="data">')[1].split("</script>")[0])
    found = dissect(gpt, [tokenizer.eot_id, *tokenizer.encode("a </script> b")])
    assert data["nats"] == pytest.approx(found.nats, abs=1e-5)
    torch.testing.assert_close(torch.tensor(data["attention"]), found.attention_LHTT, atol=1e-5, rtol=0)
    assert [item["token"] for item in data["contexts"]["shared"]] == ["a", " ", "b"]
    assert "http" not in page
    assert "__DATA__" not in page


@pytest.mark.parametrize(
    ("prompt", "line"), [("", "empty"), ("x" * 40, "41 tokens with the end of text; the model's context is 32")]
)
def test_prompts_that_do_not_fit_are_refused(prompt: str, line: str) -> None:
    with pytest.raises(InputError, match=line):
        explain.page(random_gpt(), Tokenizer([]), prompt)


POINT = """<pre id="told"></pre><script>
const box = big.getBoundingClientRect();
big.onmousemove({ clientX: box.left + room + .5 * cell, clientY: box.top + room + 2.5 * cell });
const heard = [by("said").textContent];
big.onmousemove({ clientX: box.left + room + 2.5 * cell, clientY: box.top + room + .5 * cell });
heard.push(by("said").textContent, document.body.scrollWidth <= innerWidth, getComputedStyle(document.body).backgroundColor);
by("told").textContent = "told:" + JSON.stringify(heard) + ":told";
</script></body>"""


@pytest.mark.slow
@pytest.mark.parametrize(("scheme", "paper"), [(1, "rgb(255, 255, 255)"), (0, "rgb(21, 23, 27)")], ids=["light", "dark"])
def test_the_heat_map_answers_to_the_pointer(scheme: int, paper: str, tmp_path: Path) -> None:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no chromium here: the page was not looked at in a browser")
    gpt, tokenizer = random_gpt(), Tokenizer([])
    path = tmp_path / "explain.html"
    path.write_text(explain.page(gpt, tokenizer, "abc", "cba").replace("</body>", POINT))
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", f"--user-data-dir={tmp_path / 'profile'}"]
    flags += ["--virtual-time-budget=5000", f"--blink-settings=preferredColorScheme={scheme}", "--dump-dom", path.as_uri()]
    done = subprocess.run([chromium, *flags], capture_output=True, text=True, timeout=120, check=True)
    assert "CONSOLE" not in done.stderr
    found = re.search(r"told:(\[.*\]):told</pre>", done.stdout)
    assert found is not None
    takes, may_not, fits, colour = json.loads(unescape(found[1]))
    weight = float(dissect(gpt, [tokenizer.eot_id, *tokenizer.encode("abc")]).attention_LHTT[0, 0, 2, 0])
    assert takes == f"Layer 1, head 1: b takes {100 * weight:.2f} % from ⏎start"
    assert may_not == "Layer 1, head 1: ⏎start may not look at b, which comes later"
    assert (fits, colour) == (True, paper)
