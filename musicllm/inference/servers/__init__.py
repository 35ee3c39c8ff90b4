"""Servers that write text: JSON over HTTP, many requests at a time, and what can go wrong there."""
