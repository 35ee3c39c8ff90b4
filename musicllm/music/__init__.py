"""The music domain: parsing, checking, analysing, transposing and rendering tunes. No ML."""
