"""MERT on random weights in its published layout, beside a reference of plain formulas."""

from __future__ import annotations

import json
import math

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional

from musicllm.errors import InputError
from musicllm.model.audio.encoders import ENCODERS

CPU = torch.device("cpu")
CONFIG = {
    "model_type": "mert_model",
    "hidden_size": 16,
    "num_hidden_layers": 24,
    "num_attention_heads": 4,
    "intermediate_size": 24,
    "hidden_act": "gelu",
    "conv_dim": [8, 8, 8],
    "conv_kernel": [10, 3, 2],
    "conv_stride": [5, 2, 2],
    "conv_bias": False,
    "feat_extract_norm": "group",
    "feat_extract_activation": "gelu",
    "feat_proj_layer_norm": True,
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 4,
    "do_stable_layer_norm": False,
    "deepnorm": False,
    "attention_relax": 32.0,
    "feature_extractor_cqt": False,
    "layer_norm_eps": 1e-5,
    "sample_rate": 24000,
}
PUBLISHED = {
    "hidden_size": 1024,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "intermediate_size": 4096,
    "conv_dim": [512] * 7,
    "conv_kernel": [10, 3, 3, 3, 3, 2, 2],
    "conv_stride": [5, 2, 2, 2, 2, 2, 2],
    "num_conv_pos_embeddings": 128,
    "num_conv_pos_embedding_groups": 16,
}


def random_weights(config, old_names):
    """Return tensors by the names of the published checkpoint."""
    generator = torch.Generator().manual_seed(0)

    def draw(*shape, around=0.0):
        return around + 0.3 * torch.randn(*shape, generator=generator)

    width, inner, convs = config["hidden_size"], config["intermediate_size"], config["conv_dim"]
    tensors = {"masked_spec_embed": draw(width)}
    sizes = zip([1, *convs], convs, config["conv_kernel"], strict=False)
    for number, (before, after, kernel) in enumerate(sizes):
        name = f"feature_extractor.conv_layers.{number}"
        tensors[f"{name}.conv.weight"] = draw(after, before, kernel)
        if number == 0 and config["feat_extract_norm"] == "group":
            tensors[f"{name}.layer_norm.weight"] = draw(after, around=1.0)
            tensors[f"{name}.layer_norm.bias"] = draw(after)

    def norm(name, size):
        tensors[f"{name}.weight"], tensors[f"{name}.bias"] = draw(size, around=1.0), draw(size)

    def linear(name, inputs, outputs):
        tensors[f"{name}.weight"] = draw(outputs, inputs)
        tensors[f"{name}.bias"] = draw(outputs)

    norm("feature_projection.layer_norm", convs[-1])
    linear("feature_projection.projection", convs[-1], width)
    kernel, groups = config["num_conv_pos_embeddings"], config["num_conv_pos_embedding_groups"]
    pos = "encoder.pos_conv_embed.conv"
    names = ("weight_g", "weight_v") if old_names else (
        "parametrizations.weight.original0", "parametrizations.weight.original1")  # fmt: skip
    tensors[f"{pos}.{names[0]}"] = draw(1, 1, kernel, around=1.0)
    tensors[f"{pos}.{names[1]}"] = draw(width, width // groups, kernel)
    tensors[f"{pos}.bias"] = draw(width)
    norm("encoder.layer_norm", width)
    for number in range(config["num_hidden_layers"]):
        layer = f"encoder.layers.{number}"
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            linear(f"{layer}.attention.{part}", width, width)
        linear(f"{layer}.feed_forward.intermediate_dense", width, inner)
        linear(f"{layer}.feed_forward.output_dense", inner, width)
        norm(f"{layer}.layer_norm", width)
        norm(f"{layer}.final_layer_norm", width)
    return tensors


def write(folder, config=CONFIG, *, old_names=True, pickled=False, normalised=True, **changes):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "preprocessor_config.json").write_text(json.dumps({"do_normalize": normalised}))
    tensors = random_weights(config, old_names) | changes
    tensors = {name: tensor for name, tensor in tensors.items() if tensor is not None}
    if pickled:
        torch.save(tensors, folder / "pytorch_model.bin")
    else:
        save_file(tensors, folder / "model.safetensors")
    return folder


def opened(folder, config=CONFIG):
    return ENCODERS["mert"].open(config, folder, CPU)


def norm(tensors, name, x):
    centred = x - x.mean(-1, keepdim=True)
    scaled = centred / torch.sqrt((centred**2).mean(-1, keepdim=True) + 1e-5)
    return scaled * tensors[f"{name}.weight"] + tensors[f"{name}.bias"]


def linear(tensors, name, x):
    return x @ tensors[f"{name}.weight"].T + tensors[f"{name}.bias"]


def gelu(x):
    return x * 0.5 * (1 + torch.erf(x / math.sqrt(2)))


def front(tensors, wave, config):
    """Return what the first layer gets, [T, D], before the first normalisation of the encoder."""
    width = config["hidden_size"]
    x = (wave - wave.mean()) / torch.sqrt(((wave - wave.mean()) ** 2).mean() + 1e-7)
    x = x[None]
    for number, stride in enumerate(config["conv_stride"]):
        name = f"feature_extractor.conv_layers.{number}"
        kernel = tensors[f"{name}.conv.weight"]
        windows = x.unfold(1, kernel.shape[2], stride)
        x = torch.einsum("itk,oik->ot", windows, kernel)
        if number == 0:  # group norm with a group for every channel: over time
            centred = x - x.mean(1, keepdim=True)
            x = centred / torch.sqrt((centred**2).mean(1, keepdim=True) + 1e-5)
            x = x * tensors[f"{name}.layer_norm.weight"][:, None]
            x = x + tensors[f"{name}.layer_norm.bias"][:, None]
        x = gelu(x)
    normed = norm(tensors, "feature_projection.layer_norm", x.T)
    hidden = linear(tensors, "feature_projection.projection", normed)
    pos = "encoder.pos_conv_embed.conv"
    direction = tensors[f"{pos}.weight_v"]
    kernel = tensors[f"{pos}.weight_g"] * direction / direction.pow(2).sum((0, 1)).sqrt()
    size, groups = config["num_conv_pos_embeddings"], config["num_conv_pos_embedding_groups"]
    padded = functional.pad(hidden.T, (size // 2, size // 2 - 1)).unfold(1, size, 1)
    part = width // groups
    moved = []
    for first in range(0, width, part):
        own = slice(first, first + part)
        moved.append(torch.einsum("itk,oik->ot", padded[own], kernel[own]))
    return hidden + gelu(torch.cat(moved) + tensors[f"{pos}.bias"][:, None]).T


def reference(tensors, wave, config):
    """Return the hidden states [layers + 1, T, D] of a waveform [S] by formulas alone."""
    width, heads = config["hidden_size"], config["num_attention_heads"]
    hidden = front(tensors, wave, config)
    stable = config["do_stable_layer_norm"]
    alpha = (2 * config["num_hidden_layers"]) ** 0.25 if config["deepnorm"] else 1.0
    hidden = hidden if stable else norm(tensors, "encoder.layer_norm", hidden)
    states = [hidden]
    for number in range(config["num_hidden_layers"]):
        layer = f"encoder.layers.{number}"

        def attention(x, layer=layer):
            q, k, v = (
                linear(tensors, f"{layer}.attention.{name}_proj", x).view(len(x), heads, -1)
                for name in "qkv"
            )
            scores = torch.einsum("qhd,khd->hqk", q, k) / math.sqrt(width // heads)
            mixed = torch.einsum("hqk,khd->qhd", scores.softmax(-1), v).flatten(1)
            return linear(tensors, f"{layer}.attention.out_proj", mixed)

        def feed(x, layer=layer):
            inner = gelu(linear(tensors, f"{layer}.feed_forward.intermediate_dense", x))
            return linear(tensors, f"{layer}.feed_forward.output_dense", inner)

        if stable:
            hidden = hidden + attention(norm(tensors, f"{layer}.layer_norm", hidden))
            hidden = hidden + feed(norm(tensors, f"{layer}.final_layer_norm", hidden))
        else:
            hidden = norm(tensors, f"{layer}.layer_norm", alpha * hidden + attention(hidden))
            hidden = norm(tensors, f"{layer}.final_layer_norm", alpha * hidden + feed(hidden))
        states.append(hidden)
    if stable:
        states[-1] = norm(tensors, "encoder.layer_norm", hidden)
    return torch.stack(states)


def wave(num_samples, seed=0):
    return torch.randn(num_samples, generator=torch.Generator().manual_seed(seed)) * 0.1


@pytest.mark.parametrize("norm", ["behind", "deepnorm", "before"])
def test_all_25_hidden_states_equal_the_reference(tmp_path, norm):
    own = {"deepnorm": norm == "deepnorm", "do_stable_layer_norm": norm == "before"}
    config = CONFIG | own
    encoder = opened(write(tmp_path, config), config)
    audio = torch.stack([wave(500), wave(500, seed=1)])
    states = encoder.encode(audio)
    assert states.shape == (2, 25, 24, 16)
    assert (encoder.facts.num_layers, encoder.facts.width) == (25, 16)
    tensors = random_weights(config, old_names=True)
    for row in range(2):
        expected = reference(tensors, audio[row], config)
        torch.testing.assert_close(states[row], expected, rtol=1e-4, atol=2e-4)


def test_names_and_files_of_weights_change_nothing(tmp_path):
    encoders = [
        opened(write(tmp_path / "old")),
        opened(write(tmp_path / "new", old_names=False)),
        opened(write(tmp_path / "bin", pickled=True)),
    ]
    states = [encoder.encode(wave(300)[None]) for encoder in encoders]
    assert len({encoder.fingerprint for encoder in encoders}) == 1
    assert torch.equal(states[0], states[1])
    assert torch.equal(states[0], states[2])
    bias = "encoder.layer_norm.bias"
    other = opened(write(tmp_path / "other", **{bias: torch.ones(16)}))
    raw = opened(write(tmp_path / "raw", normalised=False))
    assert len({encoders[0].fingerprint, other.fingerprint, raw.fingerprint}) == 3


def test_a_tensor_that_is_missing_left_over_or_misshapen_is_an_error(tmp_path):
    pos = "encoder.pos_conv_embed.conv"
    with pytest.raises(InputError, match=r"pos_conv_embed.conv.parametrizations.*0 is missing"):
        opened(write(tmp_path / "a", **{f"{pos}.weight_g": None}))
    with pytest.raises(InputError, match=r"final_proj.weight is unexpected"):
        opened(write(tmp_path / "b", **{"final_proj.weight": torch.ones(2)}))
    with pytest.raises(InputError, match=r"bias has shape \[3\], not \[16\]"):
        opened(write(tmp_path / "c", **{f"{pos}.bias": torch.ones(3)}))
    both = {f"{pos}.parametrizations.weight.original0": torch.ones(1, 1, 8)}
    with pytest.raises(InputError, match="under two names"):
        opened(write(tmp_path / "d", **both))
    with pytest.raises(InputError, match="elements that are not finite"):
        opened(write(tmp_path / "e", **{f"{pos}.bias": torch.full((16,), float("nan"))}))


def test_other_files_and_settings_are_refused(tmp_path):
    folder = write(tmp_path / "a")
    with pytest.raises(InputError, match=r"encoder_config has hidden_size=32, but .* says 16"):
        opened(folder, CONFIG | {"hidden_size": 32})
    with pytest.raises(InputError, match="constant-Q"):
        opened(folder, CONFIG | {"feature_extractor_cqt": True})
    with pytest.raises(InputError, match="lacks sample_rate"):
        ENCODERS["mert"].facts({key: v for key, v in CONFIG.items() if key != "sample_rate"})
    with pytest.raises(InputError, match="shorter than a frame"):
        opened(folder).encode(torch.zeros(1, 20))
    (folder / "model.safetensors").write_bytes(b"rubbish")
    with pytest.raises(InputError, match="is damaged"):
        opened(folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"neither model.safetensors nor pytorch_model.bin"):
        opened(folder)
    (folder / "pytorch_model.bin").write_bytes(b"rubbish")
    with pytest.raises(InputError, match="cannot be read as weights"):
        opened(folder)
    (folder / "preprocessor_config.json").unlink()
    with pytest.raises(InputError, match=r"has no preprocessor_config.json"):
        opened(folder)


def test_both_published_sizes_have_their_parameters():
    """Convolutions, projections and 24 or 12 layers, added up by hand."""
    large = ENCODERS["mert"].facts(CONFIG | PUBLISHED)
    half = {"num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072}
    small = ENCODERS["mert"].facts(CONFIG | PUBLISHED | {"hidden_size": 768} | half)
    assert (large.num_layers, large.width, large.frames_per_second) == (25, 1024, 75.0)
    assert large.num_parameters == 315_427_968
    assert small.num_parameters == 94_370_944


def test_safetensors_of_the_test_are_what_is_read(tmp_path):
    folder = write(tmp_path)
    stored = load_file(folder / "model.safetensors")
    assert "encoder.pos_conv_embed.conv.weight_g" in stored
