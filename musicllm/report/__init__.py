"""Self-contained HTML pages: what a chain of runs did, and what a prepared corpus holds.

Of runs: `runs` reads their folders, `tables`, `corpora`, `scores` and `summary` turn what was read
into what is shown, `assemble` puts it together. Of a corpus: `corpus_page` does so from its facts,
with `shares`. `figures` and `bars` draw, `page` fills the templates. A page needs no network, no
script and no other file.
"""
