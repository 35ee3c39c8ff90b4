"""A conversation with a model: the conversation itself, and a terminal around it.

`conversation` knows turns, context and answers and no terminal, `records` and `parts` its JSON,
`settings` what can be changed meanwhile, `tunes` what stands in an answer; `session`, `commands`,
`lines`, `player` and `terminal` are the terminal.
"""
