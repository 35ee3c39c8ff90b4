"""What must survive when a text is translated or rewritten: music, numbers, keys, names, terms.

All checks are rules over characters, for English and Chinese; none asks a model. They compare a
text with its source and return the first difference in words, or None. A rule that can be wrong
about a text is wrong towards rejecting: a rejected answer is asked for again, an accepted one is
trained on.
"""
