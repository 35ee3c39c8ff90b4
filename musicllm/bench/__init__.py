"""Benchmarks of speed and memory: musicllm and a baseline, interleaved in one run.

A bench is a module with `run(settings) -> BenchResult`, listed in `registry`; `measuring`
interleaves the contestants, `machine` describes the machine. Nothing is asserted: bench.json has
the figures with their goals.
"""
