"""The parts of the check: a module each, with `run(setting)` that yields findings."""
