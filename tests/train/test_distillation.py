"""The loss of distillation: numbers worked by hand, and gradients against a plain formula."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from musicllm.model.head import Adjustment, Head
from musicllm.train import loss
from musicllm.train.distillation import targets
from musicllm.train.distillation.divergences import DIVERGENCES
from musicllm.train.distillation.losses import sum_loss
from musicllm.train.distillation.targets import Settings

NUM, WIDTH, VOCABULARY, TOP_K = 13, 8, 31, 5
KINDS = tuple(DIVERGENCES)


def logs(*probabilities: float) -> Tensor:
    return torch.tensor([probabilities]).log()


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("forward_kl", 0.75 * math.log(1.5) + 0.25 * math.log(0.5)),
        ("reverse_kl", 0.5 * math.log(2 / 3) + 0.5 * math.log(2)),
        # the mixture is 0.625, 0.375
        ("jensen_shannon", 0.0338218),
    ],
)
def test_divergences_worked_by_hand(kind: str, expected: float) -> None:
    student, teacher = torch.zeros(1, 2), logs(0.75, 0.25)
    values, _ = targets.of_vocabulary(student, teacher, Settings(kind, 0.5, 1.0, 0.0))
    assert values.item() == pytest.approx(expected, rel=1e-5)


def test_the_mixture_tends_to_both_directions_of_kl() -> None:
    student, teacher = logs(0.5, 0.3, 0.2), logs(0.2, 0.7, 0.1)

    def value(kind: str, share: float) -> float:
        one = targets.of_vocabulary(student, teacher, Settings(kind, share, 1.0, 0.0))[0].double()
        return one.item()

    forward, reverse = value("forward_kl", 0.5), value("reverse_kl", 0.5)
    assert value("jensen_shannon", 0.01) / 0.01 == pytest.approx(forward, rel=0.03)
    assert value("jensen_shannon", 0.99) / 0.01 == pytest.approx(reverse, rel=0.03)


def test_tokens_beyond_the_top_count_as_one() -> None:
    # the teacher's 0.5 and the rest 0.5; the student's 0.25 and the rest 0.75
    top = targets.top_of(logs(0.5, 0.3, 0.1, 0.1), 1, 1.0)
    assert top["ids"].tolist() == [[0]]
    values, _ = targets.of_top(torch.zeros(1, 4), top, Settings("forward_kl", 0.5, 1.0, 0.0))
    assert values.item() == pytest.approx(0.5 * math.log(2) + 0.5 * math.log(2 / 3), rel=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_merged_tokens_are_never_further_apart_and_equal_where_the_rest_is_alike(kind: str) -> None:
    generator = torch.Generator().manual_seed(0)
    student, teacher = (2 * torch.randn(50, 12, generator=generator) for _ in range(2))
    settings = Settings(kind, 0.3, 1.0, 0.0)

    def both(student: Tensor) -> tuple[Tensor, Tensor]:
        merged, _ = targets.of_top(student, targets.top_of(teacher, 4, 1.0), settings)
        return merged, targets.of_vocabulary(student, teacher, settings)[0]

    merged, whole = both(student)
    assert (merged < whole).all()
    alike = teacher.clone()
    alike.scatter_add_(1, teacher.topk(4).indices, torch.randn(50, 4, generator=generator))
    torch.testing.assert_close(*both(alike), rtol=2e-2, atol=2e-3)  # stored in float16


def test_a_probability_of_zero_has_its_limit() -> None:
    teacher = torch.tensor([[0.0, 0.0, -torch.inf]])
    student = torch.zeros(1, 3)
    for kind, expected in (("forward_kl", math.log(1.5)), ("jensen_shannon", 0.1323)):
        values, gradient = targets.of_vocabulary(student, teacher, Settings(kind, 0.5, 1.0, 0.0))
        assert values.item() == pytest.approx(expected, rel=1e-2)
        assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("kind", KINDS)
def test_rows_that_stand_for_no_token_are_improbable_or_left_out(kind: str) -> None:
    student = torch.tensor([[1.0, 2.0, 0.5, 3.0]])
    values, gradient = targets.of_vocabulary(
        student, torch.zeros(1, 3), Settings(kind, 0.5, 1.0, 0.0)
    )
    assert torch.isfinite(values).all()
    if kind == "reverse_kl":
        assert gradient[0, 3] == 0
        alone = targets.of_vocabulary(
            student[:, :3], torch.zeros(1, 3), Settings(kind, 0.5, 1.0, 0.0)
        )
        torch.testing.assert_close(values, alone[0])
    else:
        assert gradient[0, 3] > 0


class Case:
    """Student, teacher and tokens, and what a plain formula says of them."""

    def __init__(self, adjustment: Adjustment | None = None) -> None:
        generator = torch.Generator().manual_seed(3)
        self.states = torch.randn(NUM, WIDTH, generator=generator).requires_grad_()
        self.teacher = 2 * torch.randn(NUM, VOCABULARY, generator=generator)
        self.tokens = torch.randint(VOCABULARY, (NUM,), generator=generator)
        with torch.random.fork_rng():
            torch.manual_seed(4)
            self.module = nn.Linear(WIDTH, VOCABULARY, bias=False)
        self.adjustment = adjustment

    def plain(self, settings: Settings, *, is_top: bool) -> tuple[Tensor, Tensor]:
        logits = self.module(self.states)
        if self.adjustment is not None:
            logits = self.adjustment(logits)
        nll = -logits.log_softmax(-1)[range(NUM), self.tokens].sum()
        log_q = (logits / settings.temperature).log_softmax(-1)
        log_p = (self.teacher / settings.temperature).log_softmax(-1)
        if is_top:
            top = self.top(slice(None), settings)
            log_p = torch.cat([top["values"], top["rest"][:, None]], -1).float().log_softmax(-1)
            own = log_q.gather(1, top["ids"].long())
            rest = (1 - own.exp().sum(-1, keepdim=True)).log()
            log_q = torch.cat([own, rest], -1)
        p, q, share = log_p.exp(), log_q.exp(), settings.teacher_share
        log_m = (share * p + (1 - share) * q).log()
        divergence = {
            "forward_kl": (p * (log_p - log_q)).sum(),
            "reverse_kl": (q * (log_q - log_p)).sum(),
            "jensen_shannon": share * (p * (log_p - log_m)).sum()
            + (1 - share) * (q * (log_q - log_m)).sum(),
        }[settings.divergence]
        weight = settings.plain_weight
        total = weight * nll + (1 - weight) * settings.temperature**2 * divergence
        return total, torch.stack([nll, divergence]).detach()

    def top(self, part: slice, settings: Settings) -> targets.TeacherTop:
        return targets.top_of(self.teacher[part], TOP_K, settings.temperature)

    def ours(self, settings: Settings, *, is_top: bool, is_called: bool) -> tuple[Tensor, Tensor]:
        def compare(logits: Tensor, part: slice) -> tuple[Tensor, Tensor]:
            if is_top:
                return targets.of_top(logits, self.top(part, settings), settings)
            return targets.of_vocabulary(logits, self.teacher[part], settings)

        def called(states: Tensor) -> Tensor:
            logits: Tensor = self.module(states)
            return logits if self.adjustment is None else self.adjustment(logits)

        head: Callable[[Tensor], Tensor] = called if is_called else self.module
        if self.adjustment is not None and not is_called:
            head = Head(self.module, self.adjustment)
        return sum_loss(self.states, head, self.tokens, compare, settings, vocab_size=VOCABULARY)

    def gradients(self, total: Tensor) -> list[Tensor]:
        """Of a third of the total, since the module divides it."""
        self.states.grad = self.module.weight.grad = None
        (total / 3).backward()
        assert self.states.grad is not None
        assert self.module.weight.grad is not None
        return [self.states.grad, self.module.weight.grad]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("temperature", [1.0, 2.5])
@pytest.mark.parametrize("weight", [0.0, 0.3])
@pytest.mark.parametrize("is_top", [False, True])
@pytest.mark.parametrize("is_called", [False, True])
@pytest.mark.parametrize("piece", [4, 1000])
def test_loss_terms_and_gradients_are_those_of_the_formula(
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    temperature: float,
    weight: float,
    is_top: bool,
    is_called: bool,
    piece: int,
) -> None:
    monkeypatch.setattr(loss, "LOGITS_AT_ONCE", piece * VOCABULARY)
    case, settings = Case(), Settings(kind, 0.3, temperature, weight)
    expected, expected_terms = case.plain(settings, is_top=is_top)
    wanted = case.gradients(expected)
    total, terms = case.ours(settings, is_top=is_top, is_called=is_called)
    torch.testing.assert_close(total, expected)
    torch.testing.assert_close(terms, expected_terms)
    assert not terms.requires_grad
    for one, other in zip(case.gradients(total), wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("is_called", [False, True])
def test_a_head_that_caps_its_logits(is_called: bool) -> None:
    case, settings = Case(Adjustment(2.0, 3.0)), Settings("reverse_kl", 0.5, 1.5, 0.4)
    expected, _ = case.plain(settings, is_top=False)
    wanted = case.gradients(expected)
    total, _ = case.ours(settings, is_top=False, is_called=is_called)
    torch.testing.assert_close(total, expected)
    for one, other in zip(case.gradients(total), wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_no_supervised_token_is_a_loss_of_zero() -> None:
    case, settings = Case(), Settings("forward_kl", 0.5, 1.0, 0.5)
    case.states, case.tokens = case.states.detach()[:0].requires_grad_(), case.tokens[:0]
    total, terms = case.ours(settings, is_top=False, is_called=False)
    assert (total.item(), terms.tolist()) == (0.0, [0.0, 0.0])
    total.backward()


def test_half_precision_is_computed_in_float32_behind_the_head() -> None:
    case, settings = Case(), Settings("forward_kl", 0.5, 1.0, 0.5)
    expected, _ = case.plain(settings, is_top=False)
    with torch.autocast("cpu", torch.bfloat16):
        total, _ = case.ours(settings, is_top=False, is_called=False)
    assert total.dtype == torch.float32
    assert total.item() == pytest.approx(expected.item(), rel=1e-2)
