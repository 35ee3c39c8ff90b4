"""Analysis of scores: key, melody, sections, form, motif and chords."""

from musicllm.music.analysis.chords import (
    PlacedChord,
    chord_cover,
    chord_tones,
    chords,
    placed_chords,
    root_pitch_class,
    unreadable_chords,
    with_chords,
    without_chords,
)
from musicllm.music.analysis.form import LabelledSection, form, labelled_sections, terms, terms_of
from musicllm.music.analysis.harmony import harmonize
from musicllm.music.analysis.melody import (
    Step,
    fingerprint,
    melodic_fingerprint,
    melodic_steps,
    similarity,
)
from musicllm.music.analysis.motifs import Motif, count_motif, find_motif, motif
from musicllm.music.analysis.sections import count_bars
from musicllm.music.analysis.tonality import estimate_key, key_fit, pitch_class_durations

__all__ = [
    "LabelledSection",
    "Motif",
    "PlacedChord",
    "Step",
    "chord_cover",
    "chord_tones",
    "chords",
    "count_bars",
    "count_motif",
    "estimate_key",
    "find_motif",
    "fingerprint",
    "form",
    "harmonize",
    "key_fit",
    "labelled_sections",
    "melodic_fingerprint",
    "melodic_steps",
    "motif",
    "pitch_class_durations",
    "placed_chords",
    "root_pitch_class",
    "similarity",
    "terms",
    "terms_of",
    "unreadable_chords",
    "with_chords",
    "without_chords",
]
