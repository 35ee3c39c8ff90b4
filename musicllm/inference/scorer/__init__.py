"""Log-likelihoods of many token sequences, with what they share computed once."""
