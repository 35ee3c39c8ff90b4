"""MMLU's 57 subjects and the four categories that its authors report them by.

The assignment is that of hendrycks/test (`categories.py`). lm-evaluation-harness counts anatomy
among STEM and has no other difference; its groups are `harness_category_of`. Knows no questions and
no scores.
"""

from __future__ import annotations

STEM, HUMANITIES = "STEM", "humanities"
SOCIAL_SCIENCES, OTHER = "social sciences", "other"
CATEGORIES = (STEM, HUMANITIES, SOCIAL_SCIENCES, OTHER)
"""In the order of the tables of arXiv 2009.03300."""

_SUBJECTS = {
    STEM: """
        abstract_algebra astronomy college_biology college_chemistry
        college_computer_science college_mathematics college_physics computer_security
        conceptual_physics electrical_engineering elementary_mathematics high_school_biology
        high_school_chemistry high_school_computer_science high_school_mathematics
        high_school_physics high_school_statistics machine_learning
    """,
    HUMANITIES: """
        formal_logic high_school_european_history high_school_us_history high_school_world_history
        international_law jurisprudence logical_fallacies moral_disputes moral_scenarios philosophy
        prehistory professional_law world_religions
    """,
    SOCIAL_SCIENCES: """
        econometrics high_school_geography high_school_government_and_politics
        high_school_macroeconomics high_school_microeconomics high_school_psychology
        human_sexuality professional_psychology public_relations security_studies sociology
        us_foreign_policy
    """,
    OTHER: """
        anatomy business_ethics clinical_knowledge college_medicine global_facts human_aging
        management marketing medical_genetics miscellaneous nutrition professional_accounting
        professional_medicine virology
    """,
}
_CATEGORY = {
    subject: category for category, subjects in _SUBJECTS.items() for subject in subjects.split()
}
MMLU_SUBJECTS = tuple(sorted(_CATEGORY))


def category_of(subject: str) -> str | None:
    """Return the category of a subject of MMLU; None for any other subject."""
    return _CATEGORY.get(subject)


def harness_category_of(subject: str) -> str | None:
    """Return the category that lm-evaluation-harness groups a subject in; None for other ones."""
    return STEM if subject == "anatomy" else category_of(subject)
