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
from trainer.config import InputError, ModelConfig
from trainer.explain.activations import cosine_similarities, record_activations
from trainer.explain.page import page as render
from trainer.model import GPT


def random_gpt(**shape: Any) -> GPT:
    gpt = GPT(ModelConfig(layers=2, heads=2, width=16, context=32, vocabulary=257, **shape))
    gpt.init_weights(5)
    for parameter in gpt.parameters():
        parameter.data += 0.2 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(2))
    return gpt.eval()


def decode(entry: dict[str, Any]) -> Tensor:
    values = np.frombuffer(base64.b64decode(entry["data"]), np.float32).reshape(entry["shape"])
    return torch.from_numpy(values.copy())


def ours(name: str) -> str:
    """Our name of a tensor, from minGPT's."""
    pairs = {
        "transformer.wte": "token_embedding", "transformer.wpe": "position_embedding", "transformer.ln_f": "norm",
        "transformer.h": "blocks", "lm_head": "head", "ln_1": "norm_1", "ln_2": "norm_2", "attn.c_attn": "attention.qkv",
        "attn.c_proj": "attention.projection", "mlp.c_fc": "feed_forward.up", "mlp.c_proj": "feed_forward.projection",
    }  # fmt: skip
    for theirs, name_here in pairs.items():
        name = name.replace(theirs, name_here)
    return name


def test_activations_equal_those_of_a_trained_network(shared_data: Path) -> None:
    stored = json.loads((shared_data / "nano/model.json").read_text())
    partials = json.loads((shared_data / "nano/partials.json").read_text())
    gpt = GPT(ModelConfig(layers=3, heads=3, width=48, context=11, vocabulary=3, tied=False))
    tensors = {ours(name): decode(entry) for name, entry in stored.items() if name.endswith(("weight", "bias"))}
    gpt.load_state_dict({name: tensors[name] for name in gpt.state_dict()})
    known = {name: decode(partials[name]) for name in ("idx", "attSm", "x", "block0", "block1", "block2", "probs")}
    for row in range(3):
        activations = record_activations(gpt, known["idx"][row].long().tolist())
        assert (activations.attention_LHTT[0] - known["attSm"][row]).abs().max() < 1e-6
        for layer, name in enumerate(("x", "block0", "block1", "block2")):
            assert (activations.stream_LTD[layer] - known[name][row]).abs().max() < 2e-5
        assert (activations.probabilities_TV - known["probs"][row]).abs().max() < 1e-5


@pytest.mark.parametrize("shape", [{}, {"positions": "rotary", "qk_norm": True}])
def test_recorded_attention_reproduces_the_layers_output(shape: dict[str, Any]) -> None:
    """Recorded weights times the layer's values give the layer's output."""
    gpt = random_gpt(**shape)
    attention = gpt.blocks[1].attention
    seen: dict[str, Tensor] = {}
    attention.qkv.register_forward_hook(lambda _m, _i, out: seen.update(qkv=out))
    attention.register_forward_hook(lambda _m, _i, out: seen.update(given=out))
    activations = record_activations(gpt, [256, 10, 20, 30, 20, 10])
    values = seen["qkv"].chunk(3, -1)[2].view(6, 2, 8).transpose(0, 1)
    gathered = attention.projection((activations.attention_LHTT[1] @ values).transpose(0, 1).flatten(1))
    torch.testing.assert_close(gathered, seen["given"][0], atol=1e-5, rtol=1e-5)
    assert activations.attention_LHTT.triu(1).abs().max() == 0
    torch.testing.assert_close(activations.attention_LHTT.sum(-1), torch.ones(2, 2, 6))


def test_losses_and_next_tokens_equal_the_models() -> None:
    gpt = random_gpt()
    ids = [256, 65, 66, 65]
    activations = record_activations(gpt, ids)
    with torch.no_grad():
        logits = gpt(torch.tensor([ids]))[0]
    expected = torch.nn.functional.cross_entropy(logits[:-1], torch.tensor(ids[1:]), reduction="none")
    assert activations.nats == pytest.approx(expected.tolist(), rel=1e-5)
    best, probability = activations.most_likely(3, 5)[0]
    assert best == int(logits[3].argmax())
    assert probability == pytest.approx(float(logits[3].softmax(-1).max()))


def test_vectors_of_a_word_diverge_in_different_contexts() -> None:
    gpt = random_gpt()
    first, second = record_activations(gpt, [256, 65, 66]), record_activations(gpt, [256, 99, 66])
    alike = cosine_similarities(first, 2, second, 2)
    assert alike[0] == pytest.approx(1.0)
    assert max(alike[1:]) < 0.9999
    assert len(alike) == 3


def test_the_page_contains_the_activations() -> None:
    gpt, tokenizer = random_gpt(), Tokenizer([])
    page = render(gpt, tokenizer, "a </script> b", "b a")
    data = json.loads(page.split('id="data">')[1].split("</script>")[0])
    activations = record_activations(gpt, [tokenizer.eot_id, *tokenizer.encode("a </script> b")])
    assert data["nats"] == pytest.approx(activations.nats, abs=1e-5)
    torch.testing.assert_close(torch.tensor(data["attention"]), activations.attention_LHTT, atol=1e-5, rtol=0)
    assert [item["token"] for item in data["contexts"]["shared"]] == ["a", " ", "b"]
    assert "http" not in page
    assert "__DATA__" not in page


@pytest.mark.parametrize(
    ("prompt", "line"), [("", "--prompt is empty"), ("x" * 40, "41 tokens with the end of text, the model's context is 32")]
)
def test_empty_and_too_long_prompts_are_rejected(prompt: str, line: str) -> None:
    with pytest.raises(InputError, match=line):
        render(random_gpt(), Tokenizer([]), prompt)


POINT = """<pre id="result"></pre><script>
const box = big.getBoundingClientRect();
big.onmousemove({ clientX: box.left + margin + .5 * cell, clientY: box.top + margin + 2.5 * cell });
const texts = [by("status").textContent];
big.onmousemove({ clientX: box.left + margin + 2.5 * cell, clientY: box.top + margin + .5 * cell });
texts.push(by("status").textContent, document.body.scrollWidth <= innerWidth, getComputedStyle(document.body).backgroundColor);
by("result").textContent = "result:" + JSON.stringify(texts) + ":result";
</script></body>"""


@pytest.mark.slow
@pytest.mark.parametrize(("scheme", "paper"), [(1, "rgb(255, 255, 255)"), (0, "rgb(21, 23, 27)")], ids=["light", "dark"])
def test_pointing_at_the_heat_map_shows_the_weight(scheme: int, paper: str, tmp_path: Path) -> None:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("chromium is not installed")
    gpt, tokenizer = random_gpt(), Tokenizer([])
    path = tmp_path / "explain.html"
    path.write_text(render(gpt, tokenizer, "abc", "cba").replace("</body>", POINT))
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", f"--user-data-dir={tmp_path / 'profile'}"]
    flags += ["--virtual-time-budget=5000", f"--blink-settings=preferredColorScheme={scheme}", "--dump-dom", path.as_uri()]
    done = subprocess.run([chromium, *flags], capture_output=True, text=True, timeout=120, check=True)
    assert "CONSOLE" not in done.stderr
    match = re.search(r"result:(\[.*\]):result</pre>", done.stdout)
    assert match is not None
    reads, cannot, fits, color = json.loads(unescape(match[1]))
    weight = float(record_activations(gpt, [tokenizer.eot_id, *tokenizer.encode("abc")]).attention_LHTT[0, 0, 2, 0])
    assert reads == f"Layer 1, head 1: b reads {100 * weight:.2f} % from ⏎start"
    assert cannot == "Layer 1, head 1: ⏎start cannot read b, which comes later"
    assert (fits, color) == (True, paper)
