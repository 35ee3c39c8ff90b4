"""Records written by a teacher model: kinds of request, the asking, and what came of it.

A kind (`kind`, `kinds`) turns records into items, reads the teacher's answers and makes records of
them. The items are asked about one by one (`asking`), every answer is stored by its content
(`answers`), and what fits is written in the order of the items (`writing`). The room knows neither
a server nor weights: whatever writes is an engine of `inference`.
"""
