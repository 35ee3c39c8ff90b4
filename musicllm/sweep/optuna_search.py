"""A search by Optuna (extra `optuna`), kept in a file so that the same command continues it.

Hydra's own Optuna plugin needs Optuna below 3; this asks the current one directly. What failed or
was interrupted is tried again with the same values; pruning is not done.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from musicllm.errors import NotAvailableError
from musicllm.sweep.search import Draw
from musicllm.sweep.space import Interval, Space


class OptunaSearch:
    """Asks a study for values; see `search.Search`."""

    def __init__(
        self, space: Space, file: Path, *, num_trials: int, study: str, direction: str, seed: int
    ) -> None:
        """Open the study, or make it.

        Args:
            space: swept settings; lists and ranges are choices without an order.
            file: of SQLite.
            num_trials: jobs in all, those of earlier calls included.
            study: name of it in the file.
            direction: minimize or maximize.
            seed: of the sampler.

        Raises:
            NotAvailableError: Optuna is not installed.
        """
        optuna = _optuna()
        self._study = optuna.create_study(
            storage=f"sqlite:///{file}",
            study_name=study,
            direction=direction,
            load_if_exists=True,
        )
        trials = self._study.get_trials(deepcopy=False)
        # a sampler that continues must not draw again what it drew first
        self._study.sampler = optuna.samplers.TPESampler(seed=seed + len(trials))
        self._space = {axis.key: _distribution(optuna, axis.values) for axis in space.axes}
        self._complete = [trial for trial in trials if trial.state.name == "COMPLETE"]
        self._known = {trial.number for trial in self._complete}
        self._num_left = max(0, num_trials - len(self._complete))
        self.num_jobs = len(self._complete) + self._num_left
        self._try_again(trials)

    def _try_again(self, trials: list[Any]) -> None:
        """Queue the values of trials that failed, and of those that a dead process left behind."""
        settled = [trial.params for trial in trials if trial.state.name in ("COMPLETE", "WAITING")]
        for trial in trials:
            if trial.state.name == "RUNNING":
                self.tell(trial.number, None)
            if trial.state.name in ("RUNNING", "FAIL") and trial.params not in settled:
                self._study.enqueue_trial(trial.params)
                settled.append(trial.params)

    def ask(self) -> Draw | None:
        """Return what is known already, then new values."""
        if self._complete:
            trial = self._complete.pop(0)
        elif self._num_left:
            self._num_left -= 1
            trial = self._study.ask(self._space)
        else:
            return None
        values = {  # with as many digits as matter, so that a person can write them again
            key: float(f"{value:.5g}") if isinstance(value, float) else value
            for key, value in trial.params.items()
        }
        return Draw(trial.number, values)

    def tell(self, number: int, value: float | None) -> None:
        """Let the study learn; without a value the trial failed."""
        if number not in self._known:
            state = None if value is not None else _optuna().trial.TrialState.FAIL
            self._study.tell(number, value, state=state)


def _optuna() -> Any:
    try:
        import optuna
    except ImportError:
        raise NotAvailableError(
            "sweep=optuna needs the extra: pip install musicllm[optuna]"
        ) from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def _distribution(optuna: Any, values: tuple[str, ...] | Interval) -> Any:
    kinds = optuna.distributions
    if not isinstance(values, Interval):
        return kinds.CategoricalDistribution(values)
    whole = isinstance(values.low, int) and isinstance(values.high, int)
    kind = kinds.IntDistribution if whole else kinds.FloatDistribution
    return kind(values.low, values.high, log=values.log)
