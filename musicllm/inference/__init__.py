"""Using a model: likelihoods of texts, and sampled continuations."""
