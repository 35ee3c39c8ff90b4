"""Benches: ours and a baseline, side by side in one run, and what came of it in bench.json.

A bench is a module with `run(settings) -> Findings`, named in `registry`; `measuring` interleaves
what it compares, `machine` says where. Nothing is asserted here: figures are for people, and the
goals that they are held against stand beside them.
"""
