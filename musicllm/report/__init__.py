"""Self-contained HTML pages about chains of runs, corpora, comparisons and sweeps.

For runs, `runs` reads their folders, `tables`, `corpora`, `scores` and `summary` turn the content
into parts of the page, and `assemble` puts them together. For a corpus, `corpus_page` does so from
its facts, with `shares`. `figures` and `bars` draw, `page` renders the templates. A page needs no
network, no script and no other file.
"""
