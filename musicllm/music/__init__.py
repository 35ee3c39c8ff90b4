"""Music as a domain: reading, checking, analysing, changing and rendering tunes. No ML."""
