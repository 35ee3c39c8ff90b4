"""The model card: a README of Markdown that tells how a model was made, for the hub and for people.

Every figure comes from a manifest or a file of a run. What is not there is left out, and the last
section says what that is; nothing is filled in.
"""

from __future__ import annotations

from musicllm.report.card.page import CardInputs, model_card

__all__ = ["CardInputs", "model_card"]
