"""Sweeps: `-m` runs one job per combination of values, or a search, and compares them at the end.

`space` reads the swept settings in Hydra's syntax, `search` and `optuna_search` choose jobs,
`local` and `slurm` start them, each as a process of its own, `main` goes through them, and
`comparison` shows which was best. Jobs that are up to date are not run again, and a job that fails
does not stop the others; so the same command continues a sweep that failed or was interrupted.
"""
