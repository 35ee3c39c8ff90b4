"""Models that hear: encoders of audio, and bridges from their features into a causal LM.

An encoder (`encoders`) turns a waveform into hidden states; what is kept of them for a clip, its
features, has the same shape whatever the clip's length (`pooling`). A bridge (`bridges`) is trained
between the features and the decoder. Nothing here reads audio files (`files.audio`) or stores
features (`data.features`).
"""
