"""What a trained model is used for: sampling text and tunes."""
