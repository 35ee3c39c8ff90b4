"""From sources to the files of a corpus, in five phases that an engine can spread over processes.

read (`reading.py`): parts of sources become checked records; decide (`deciding.py`): duplicates
and splits; encode (`encoding.py`): records become token documents; form (`forming.py`): documents
become rows; finish (`finishing.py`): the files take their places. Phases hand over by files in a
work folder, so memory stays flat, and what was finished before an interruption is not done again.
"""

from musicllm.data.pipeline.prepare import prepare

__all__ = ["prepare"]
