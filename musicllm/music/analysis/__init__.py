"""What a score says about itself: key, melody, chords, motif and form."""

from musicllm.music.analysis.form import chords, form, motif
from musicllm.music.analysis.melody import melodic_fingerprint, similarity
from musicllm.music.analysis.tonality import estimate_key, key_fit, pitch_class_durations

__all__ = [
    "chords",
    "estimate_key",
    "form",
    "key_fit",
    "melodic_fingerprint",
    "motif",
    "pitch_class_durations",
    "similarity",
]
