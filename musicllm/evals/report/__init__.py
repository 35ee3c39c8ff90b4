"""One self-contained HTML page that shows what a chain of runs did.

`runs` reads run folders, `figures` draws the loss curves, `tables`, `corpora`, `scores` and
`summary` turn what was read into what is shown, `assemble` puts it together and `page` fills the
template. The page needs no network, no script and no other file.
"""
