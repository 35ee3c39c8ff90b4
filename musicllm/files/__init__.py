"""The files of data sets and benchmarks: which there are, where they lie, and what stands in them.

`hub` downloads a data set, `listing` lists a folder, `splits` tells which split a name says, and
`readers` yields the rows of a file, whatever it is compressed with or zipped in. Nothing here knows
what the rows mean; `data` makes records of them, and `evals` questions and texts.
"""
