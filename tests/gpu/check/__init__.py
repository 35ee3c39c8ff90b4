"""The check of a GPU: what this project has to get right there, in one command of eight minutes.

`python -m tests.gpu.check` runs the parts of `schedule`, each in a process of its own with a time
limit; what a part has found so far counts when it is stopped or dies, and the others run all the
same. It prints one table and writes `gpu.json`, which docs/BENCHMARKS.md quotes with device and
date. `--dry` runs the same code with tiny shapes on a CPU. Nothing is installed or downloaded: what
a missing package would be needed for is reported as not here.
"""
