from __future__ import annotations

import pytest
import torch

from musicllm.data.encoder import Encoder
from musicllm.errors import InputError
from musicllm.inference.requests import Completion, SamplingSettings
from musicllm.inference.sampling import sample
from musicllm.model import adapters, base
from tests.models import LORA, TINY, letter_tokenizer, trained_tensors

FREE = SamplingSettings(1.0, 0, 1.0, 1.0, 12)
GREEDY = SamplingSettings(0, 0, 1.0, 1.0, 12)
WORDS = ["abcabc", "x", "hello", "QQQQQQQQQQ", "x"]
PROMPTS = [letter_tokenizer()(word)["input_ids"] for word in WORDS]


@pytest.fixture(scope="module")
def model():
    return base.build(TINY, seed=0)


@pytest.fixture(scope="module")
def encoder():
    return Encoder(letter_tokenizer())


def greedy_by_hand(model, prompt, steps):
    tokenizer = letter_tokenizer()
    new = []
    for _ in range(steps):
        with torch.no_grad():
            new.append(int(model(input_ids=torch.tensor([prompt + new])).logits[0, -1].argmax()))
        if new[-1] == tokenizer.eos_token_id:
            return Completion(tokenizer.decode(new[:-1]), len(new) - 1, True, len(prompt))
    return Completion(tokenizer.decode(new), len(new), False, len(prompt))


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_greedy_is_the_most_likely_token_each_time_whatever_the_batch(model, encoder, batch_size):
    expected = [greedy_by_hand(model, prompt, 12) for prompt in PROMPTS]
    assert sample(model, encoder, PROMPTS, GREEDY, seed=0, batch_size=batch_size) == expected


def test_result_depends_on_the_seed_and_not_on_earlier_draws(model, encoder):
    def draw(seed):
        torch.rand(3)
        return sample(model, encoder, PROMPTS, FREE, seed=seed, batch_size=2)

    assert draw(1) == draw(1)
    assert draw(1) != draw(2)


def test_global_random_state_and_mode_are_left_alone(model, encoder):
    model.train()
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    sample(model, encoder, PROMPTS[:1], FREE, seed=0, batch_size=1)
    assert torch.equal(torch.rand(1), expected)
    assert model.training
    model.eval()


def test_an_answer_ends_at_the_end_token(model, encoder):
    lines = sample(model, encoder, [PROMPTS[0]] * 200, FREE, seed=0, batch_size=200)
    ended = [line for line in lines if line.finished]
    assert 0 < len(ended) < 200
    assert all(line.num_new_tokens < 12 for line in ended)
    assert all(line.num_new_tokens == 12 for line in lines if not line.finished)
    assert all("<eos>" not in line.text for line in lines)
    # letters are one token each; the padding token writes nothing
    assert all(len(line.text) <= line.num_new_tokens for line in lines)


@pytest.mark.parametrize("settings", [(1.0, 1, 1.0, 1.0, 12), (1.0, 0, 1e-6, 1.0, 12)])
def test_top_1_and_a_tiny_nucleus_are_greedy(model, encoder, settings):
    sampled = sample(model, encoder, PROMPTS, SamplingSettings(*settings), seed=4, batch_size=5)
    assert sampled == sample(model, encoder, PROMPTS, GREEDY, seed=0, batch_size=5)


def test_padding_is_no_news_to_the_repetition_penalty(model, encoder):
    penalised = SamplingSettings(0, 0, 1.0, 3.0, 12)
    together = sample(model, encoder, PROMPTS, penalised, seed=0, batch_size=5)
    alone = sample(model, encoder, PROMPTS, penalised, seed=0, batch_size=1)
    assert together == alone
    assert together != sample(model, encoder, PROMPTS, GREEDY, seed=0, batch_size=5)


@pytest.mark.parametrize("settings", [FREE, GREEDY])
def test_settings_that_came_with_the_model_have_no_say(model, encoder, settings, caplog):
    expected = sample(model, encoder, PROMPTS, settings, seed=0, batch_size=5)
    own = base.build(TINY, seed=0)
    own.generation_config.update(do_sample=True, temperature=0.01, top_k=3, top_p=0.2, min_p=0.5)
    own.generation_config.update(no_repeat_ngram_size=2, max_length=7, eos_token_id=5)
    assert sample(own, encoder, PROMPTS, settings, seed=0, batch_size=5) == expected
    assert own.generation_config.min_p == 0.5
    assert not caplog.records


def test_an_adapter_has_its_say(encoder):
    model = adapters.attach(base.build(TINY, seed=0), LORA, seed=0)
    before = sample(model, encoder, PROMPTS, GREEDY, seed=0, batch_size=5)
    for tensor in trained_tensors(model).values():
        tensor.add_(0.3)
    assert sample(model, encoder, PROMPTS, GREEDY, seed=0, batch_size=5) != before
    assert model.training


def test_progress_counts_prompts(model, encoder):
    done = []
    sample(model, encoder, PROMPTS, GREEDY, seed=0, batch_size=2, progress=done.append)
    assert done == [1] * 5


def test_a_prompt_without_room_or_without_tokens_is_refused(model, encoder):
    with pytest.raises(InputError) as caught:
        sample(model, encoder, [[2], [3] * 120], GREEDY, seed=0, batch_size=1)
    assert str(caught.value) == (
        "prompt 2 has 120 tokens, and with generation.max_new_tokens=12 the text could pass the "
        "model's 128 positions; at most 8 fit"
    )
    with pytest.raises(InputError, match="prompt 1 is empty: there is nothing to continue"):
        sample(model, encoder, [[]], GREEDY, seed=0, batch_size=1)


def test_an_answer_ends_at_the_end_of_its_turn_too(model):
    tokenizer = letter_tokenizer()
    tokenizer.chat_template = (
        "{% for m in messages %}{% generation %}{{ m.content }}<pad>{% endgeneration %}{% endfor %}"
    )
    lines = sample(model, Encoder(tokenizer), PROMPTS[:1] * 200, FREE, seed=0, batch_size=200)
    plain = sample(
        model, Encoder(letter_tokenizer()), PROMPTS[:1] * 200, FREE, seed=0, batch_size=200
    )
    assert sum(line.finished for line in lines) > sum(line.finished for line in plain)
    assert all(line.num_new_tokens == 12 for line in lines if not line.finished)
