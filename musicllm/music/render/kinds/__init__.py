"""The kinds of rendering; each module makes one and registers it."""
