"""`python -m tests.gpu.check [--dry] [--only attention,loss] [--out gpu.json] [--keep folder]`."""

from __future__ import annotations

import argparse
import importlib
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from tests.gpu.check import finding, report, schedule

OLDEST_TORCH = (2, 11)


def main() -> int:
    """Run the check, or with `--part` a single part of it in this process.

    Returns:
        Exit code: 1 if something is wrong.
    """
    arguments = _arguments()
    if arguments.part:
        return _part(arguments.part, arguments.folder, dry=arguments.dry)
    names = arguments.only.split(",") if arguments.only else [p.name for p in schedule.PARTS]
    parts = [part for part in schedule.PARTS if part.name in names]
    if unknown := set(names) - {part.name for part in parts}:
        print(f"no such part: {', '.join(sorted(unknown))}")
        return 2
    if not arguments.dry and (reason := _unable()):
        print(f"{reason}; --dry rehearses the check on a CPU")
        return 2
    outcomes: list[schedule.Outcome] = []
    with ExitStack() as exits:
        folder = arguments.keep or Path(exits.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        limit_s = arguments.limit_s or (3600.0 if arguments.dry else schedule.LIMIT_S)
        for outcome in schedule.run(parts, folder, dry=arguments.dry, limit_s=limit_s):
            outcomes.append(outcome)
            bad = f"{report.num_bad([outcome])} bad"
            print(f"{outcome.name}: {outcome.state}, {outcome.seconds:.0f} s, {bad}", flush=True)
            report.write(arguments.out, outcomes, dry=arguments.dry)
    print(f"\n{report.table(outcomes)}\n\n{report.num_bad(outcomes)} bad; {arguments.out}")
    return int(report.num_bad(outcomes) > 0)


def _unable() -> str | None:
    """Return why no part can run, or None."""
    try:
        import torch
    except ImportError as error:
        return f"torch cannot be imported: {error}"
    if not torch.cuda.is_available():
        return f"torch {torch.__version__} sees no GPU"
    version = tuple(int(number) for number in torch.__version__.split(".")[:2])
    return None if version >= OLDEST_TORCH else f"torch {torch.__version__} is older than 2.11"


def _part(module: str, folder: Path, *, dry: bool) -> int:
    """Run a part in this process; a missing package is a finding."""
    name = module.rpartition(".")[2]
    work = folder / name
    work.mkdir(parents=True, exist_ok=True)
    setting = finding.Setting("cpu" if dry else "cuda", dry, work)

    def findings() -> finding.Iterator[finding.Finding]:
        yield from importlib.import_module(module).run(setting)

    finding.write(folder / f"{name}.jsonl", finding.attempt(name, findings))
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.gpu.check", description=__doc__)
    parser.add_argument("--dry", action="store_true", help="tiny shapes on a CPU")
    parser.add_argument("--only", help="names of parts, with commas")
    parser.add_argument("--out", type=Path, default=Path("gpu.json"))
    parser.add_argument("--keep", type=Path, help="folder for logs and files of the parts")
    parser.add_argument("--limit-s", type=float, help="seconds of all parts together")
    parser.add_argument("--part", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
