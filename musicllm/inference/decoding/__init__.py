"""Writing by a causal language model: our own loop with a cache of keys, values and states.

`loop` continues many prompts, `cache` has the rows that are continued together, `attention` keeps
each from its neighbours, and `choosing` draws tokens from the stream of each prompt. `spelling`,
`constraint` and `processor` restrict what is drawn to what a grammar allows.
"""
