"""Runs as sections of panels, defined by `conf/dashboard/`: in wandb, and on a static page.

`panels` has the kinds of panel, one module each; `watched` reads runs, finished or not; `filling`
says which panels have values, so that none is empty.
"""
