"""The gated prefix beside a plain implementation of its formulas; and the projector."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch.nn import functional
from transformers import DynamicCache

from musicllm.errors import ArtifactError, ConfigError, InputError, NotAvailableError
from musicllm.model import adapters, base
from musicllm.model.attention import packed
from musicllm.model.audio import bundle
from musicllm.model.audio.bridge import bridge_of
from musicllm.model.audio.facts import BridgeFacts
from tests.model import families
from tests.models import LORA, TINY

STATES, WIDTH = 3, 5
PREFIX = BridgeFacts("gated_prefix", {"num_layers": 1, "num_blocks": 2}, (STATES, WIDTH), {})
PROJECTOR = BridgeFacts("projector", {}, (4, WIDTH), {})
NO_AUDIO = torch.zeros(0, STATES, WIDTH)


def hearing(facts=PREFIX, **changes):
    """Return a tiny Llama with two query heads per key-value head, and open gates."""
    model = base.build(TINY.changed(**changes), seed=0).eval()
    torch.manual_seed(1)
    bridge = bundle.build(model, facts)
    if facts.kind == "gated_prefix":
        torch.nn.init.normal_(bridge.gates)
    return model


def clips(number, shape=(STATES, WIDTH)):
    return torch.randn(number, *shape, generator=torch.Generator().manual_seed(number))


def texts(length, seed=0):
    return torch.randint(2, 60, (1, length), generator=torch.Generator().manual_seed(seed))


def logits(model, ids, audio, clip, place=None, **arguments):
    none = torch.full_like(ids, -1)
    clip = torch.as_tensor(clip).expand_as(ids)
    inputs = bridge_of(model).inputs(model, ids, audio, clip, none if place is None else place)
    return model(**inputs, **arguments).logits


def rms(x, weight, eps):
    return x / torch.sqrt((x * x).mean(-1, keepdim=True) + eps) * weight


def rotated(x, theta=10000.0):
    """Rotate pairs of features i and i + half by their position's angle, [T, H, d]."""
    length, _, size = x.shape
    half = size // 2
    angle = torch.arange(length)[:, None] / theta ** (torch.arange(half) / half)
    cos, sin = angle.cos()[:, None], angle.sin()[:, None]
    first, second = x[..., :half], x[..., half:]
    return torch.cat([first * cos - second * sin, second * cos + first * sin], -1)


def plain(model, ids, audio):
    """Return logits [T, V] of one document by the formulas, with loops and no module's forward."""
    weights = {name: tensor.detach() for name, tensor in model.state_dict().items()}
    bridge = {n.removeprefix("audio_bridge."): t for n, t in weights.items() if "bridge" in n}
    mixed = sum(bridge["mixture.weight"][0, s, 0] * audio[s] for s in range(STATES))
    mixed = mixed + bridge["mixture.bias"][0]
    vector = bridge["projection.weight"] @ (mixed / mixed.norm()) + bridge["projection.bias"]
    for block in range(2):
        part = {n.split(".", 2)[2]: t for n, t in bridge.items() if n.startswith(f"blocks.{block}")}
        normed = rms(vector, part["norm.weight"], 1e-6)
        gate = part["gate.weight"] @ normed
        inner = gate * torch.sigmoid(gate) * (part["up.weight"] @ normed)
        vector = vector + part["down.weight"] @ inner
    hidden = weights["model.embed_tokens.weight"][ids]
    length = len(ids)
    for number in range(2):
        layer = {
            name.split(".", 3)[3]: tensor
            for name, tensor in weights.items()
            if name.startswith(f"model.layers.{number}.")
        }
        x = rms(hidden, layer["input_layernorm.weight"], 1e-5)
        q = rotated((x @ layer["self_attn.q_proj.weight"].T).view(length, 4, 8))
        k = rotated((x @ layer["self_attn.k_proj.weight"].T).view(length, 2, 8))
        v = (x @ layer["self_attn.v_proj.weight"].T).view(length, 2, 8)
        out = torch.zeros(length, 4, 8)
        for t in range(length):
            for head in range(4):
                scores = k[: t + 1, head // 2] @ q[t, head] / 8**0.5
                out[t, head] = torch.softmax(scores, 0) @ v[: t + 1, head // 2]
        if number == 1:  # the top layer
            prefix = layer["self_attn.v_proj.weight"] @ (vector + bridge["queries"][0])
            for head in range(4):
                out[:, head] += torch.tanh(bridge["gates"][0, head]) * prefix.view(2, 8)[head // 2]
        hidden = hidden + out.flatten(1) @ layer["self_attn.o_proj.weight"].T
        x = rms(hidden, layer["post_attention_layernorm.weight"], 1e-5)
        gate = x @ layer["mlp.gate_proj.weight"].T
        inner = gate * torch.sigmoid(gate) * (x @ layer["mlp.up_proj.weight"].T)
        hidden = hidden + inner @ layer["mlp.down_proj.weight"].T
    return rms(hidden, weights["model.norm.weight"], 1e-5) @ weights["lm_head.weight"].T


def test_logits_equal_a_plain_implementation_of_the_formulas():
    model, ids, audio = hearing(), texts(9), clips(1)
    with torch.no_grad():
        ours = logits(model, ids, audio, 0)[0]
    torch.testing.assert_close(ours, plain(model, ids[0], audio[0]), rtol=1e-4, atol=1e-4)
    silent = logits(model, ids, NO_AUDIO, -1)[0]
    assert (ours - silent).abs().max() > 0.1


def test_closed_gates_leave_the_model_as_it_is():
    model, ids = hearing(), texts(9)
    torch.nn.init.zeros_(bridge_of(model).gates)
    plain_model = base.build(TINY, seed=0).eval()
    with torch.no_grad():
        ours = logits(model, ids, clips(1), 0)
        torch.testing.assert_close(ours, plain_model(ids).logits, rtol=0, atol=0)


def test_packed_documents_hear_their_own_clips():
    model = hearing()
    audio, lengths = clips(2), (7, 5, 6)
    documents = [texts(length, seed=length) for length in lengths]
    alone = [
        logits(model, ids, audio, clip) for ids, clip in zip(documents, (1, -1, 0), strict=True)
    ]
    clip = torch.repeat_interleave(torch.tensor([1, -1, 0]), torch.tensor(lengths))[None]
    positions = torch.cat([torch.arange(length) for length in lengths])[None]
    borders = torch.tensor([0, 7, 12, 18], dtype=torch.int32)
    together = logits(
        model, torch.cat(documents, 1), audio, clip, position_ids=positions, **packed(borders)
    )
    torch.testing.assert_close(together, torch.cat(alone, 1), rtol=1e-5, atol=1e-5)


def test_a_cache_of_keys_and_values_changes_nothing():
    model, ids, audio = hearing(), texts(8), clips(1)
    with torch.no_grad():
        whole = logits(model, ids, audio, 0)
        cache, steps = DynamicCache(config=model.config), []
        for t in range(8):
            step = logits(model, ids[:, t : t + 1], audio, 0, past_key_values=cache, use_cache=True)
            steps.append(step)
    torch.testing.assert_close(torch.cat(steps, 1), whole, rtol=1e-5, atol=1e-5)


def test_rows_of_a_batch_hear_their_own_clips():
    model, audio = hearing(), clips(3)
    ids = torch.cat([texts(6, seed=seed) for seed in range(3)])
    with torch.no_grad():
        together = logits(model, ids, audio, torch.tensor([[2], [0], [1]]))
        for row, clip in enumerate((2, 0, 1)):
            alone = logits(model, ids[row : row + 1], audio, clip)
            torch.testing.assert_close(together[row], alone[0], rtol=1e-5, atol=1e-5)


def test_other_tokens_do_not_hear_the_clip_of_those_before():
    model, ids, audio = hearing(), texts(6), clips(1)
    other = texts(6, seed=3)
    with torch.no_grad():
        silent = base.build(TINY, seed=0).eval()(other).logits
        logits(model, ids, audio, 0)
        torch.testing.assert_close(model(other).logits, silent, rtol=0, atol=0)


def test_lora_reaches_the_output_projection_but_not_the_prefix_values():
    spec = dataclasses.replace(LORA, targets=("v_proj", "o_proj"))
    model = hearing()
    attention = model.model.layers[1].self_attn
    adapted = adapters.attach(model, spec, seed=0).eval()
    for name, weight in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight)
    bridge, ids, audio = bridge_of(adapted), texts(5), clips(1)
    with torch.no_grad():
        vector = bridge.vectors(audio) + bridge.queries[0]
        values = attention.v_proj.base_layer(vector).view(2, 1, 8).expand(-1, 2, -1).flatten(0, 1)
        prefix = (torch.tanh(bridge.gates[0])[:, None] * values).flatten()
        causal, attended = adapted.get_base_model(), torch.randn(1, 5, 32)
        bridge.inputs(causal, ids, audio, torch.zeros_like(ids), -torch.ones_like(ids))
        heard = attention.o_proj(attended)
        bridge.inputs(causal, ids, NO_AUDIO, -torch.ones_like(ids), -torch.ones_like(ids))
        expected = attention.o_proj(attended + prefix)
    torch.testing.assert_close(heard, expected, rtol=1e-4, atol=1e-4)


def test_gradients_are_the_same_with_activations_computed_again():
    gradients = []
    for checkpointing in (False, True):
        model = hearing().train()
        if checkpointing:
            model.activation_checkpointing_enable({"use_reentrant": False})
        ids = texts(9)
        out = logits(model, ids, clips(1), 0, use_cache=False)
        functional.cross_entropy(out[0, :-1], ids[0, 1:]).backward()
        gradients.append({name: weight.grad for name, weight in model.named_parameters()})
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        assert gradient.abs().max() > 0, name
        torch.testing.assert_close(gradients[1][name], gradient)


def test_a_projector_puts_frames_into_the_sequence():
    model = hearing(PROJECTOR)
    bridge, audio = bridge_of(model), clips(2, (4, WIDTH))
    assert bridge.num_tokens == 4
    ids = texts(7)
    clip = torch.ones_like(ids)
    place = torch.tensor([[-1, 0, 1, 2, 3, -1, -1]])
    inputs = bridge.inputs(model, ids, audio, clip, place)
    embeddings = model.get_input_embeddings()(ids)
    expected = embeddings.clone()
    x = functional.layer_norm(audio[1], (WIDTH,))
    x = functional.gelu(x @ bridge.expand.weight.T + bridge.expand.bias)
    expected[0, 1:5] = x @ bridge.project.weight.T + bridge.project.bias
    torch.testing.assert_close(inputs["inputs_embeds"], expected)
    out = model(**inputs).logits
    assert (out[0, -1] - logits(model, ids, audio, 0, place)[0, -1]).abs().max() > 1e-3


@pytest.mark.parametrize("facts", [PREFIX, PROJECTOR], ids=lambda facts: facts.kind)
def test_a_bundle_gives_the_bridge_back(tmp_path, facts):
    model = hearing(facts)
    bundle.save(model, tmp_path)
    again = base.build(TINY, seed=0).eval()
    bundle.load(again, tmp_path)
    for name, tensor in bridge_of(model).state_dict().items():
        torch.testing.assert_close(bridge_of(again).state_dict()[name], tensor, rtol=0, atol=0)
    assert bridge_of(again).facts == facts
    assert not any(weight.requires_grad for weight in bridge_of(again).parameters())


def test_another_decoder_and_damaged_files_are_refused(tmp_path):
    bundle.save(hearing(), tmp_path)
    wider = base.build(TINY.changed(hidden_size=64), seed=0)
    with pytest.raises(ArtifactError, match=r"does not fit its decoder: .*instead of"):
        bundle.load(wider, tmp_path)
    (tmp_path / bundle.WEIGHTS).write_bytes(b"no weights")
    with pytest.raises(InputError, match=r"audio_bridge.safetensors cannot be read"):
        bundle.load(base.build(TINY, seed=0), tmp_path)
    (tmp_path / bundle.SETTINGS).write_text('{"format": 1, "kind": "tube"}')
    with pytest.raises(InputError, match=r"audio_bridge.json is damaged"):
        bundle.load(base.build(TINY, seed=0), tmp_path)


def test_decoders_that_are_too_small_or_of_other_parts_are_refused():
    many = dataclasses.replace(PREFIX, options={"num_layers": 20})
    with pytest.raises(ConfigError, match="is not between 1 and the 2 layers of the decoder"):
        hearing(many)
    model = families.build("gpt2")
    bundle.build(model, PREFIX)
    with pytest.raises(NotAvailableError, match=r"needs layers with self_attn.v_proj and o_proj"):
        logits(model, texts(3), clips(1), 0)
