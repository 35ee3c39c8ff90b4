"""Plays sound through a program of this machine, in the background; one sound at a time."""

from __future__ import annotations

import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

PLAYERS: tuple[tuple[str, ...], ...] = (
    ("mpv", "--no-video", "--really-quiet"),
    ("ffplay", "-nodisp", "-autoexit", "-loglevel", "quiet"),
    ("afplay",),  # macOS
    ("pw-play",),  # PipeWire
    ("paplay",),  # PulseAudio
    ("aplay", "--quiet"),  # ALSA
    ("play", "-q"),  # SoX
)
"""Programs that play a WAV file, and their options; the first that is installed is taken."""

START_S = 0.3
"""A player without a sound device ends within this time."""

STOP_S = 2.0


class Player:
    """At most one program that plays."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def play(self, sound: Path) -> tuple[str, bool] | None:
        """Stop what plays, and play a file.

        Returns:
            The program, and whether it plays or has played; None where none is installed.
        """
        self.stop()
        command = next((words for words in PLAYERS if shutil.which(words[0])), None)
        if command is None:
            return None
        self._process = subprocess.Popen(
            [*command, str(sound.absolute())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for the answer, not for the player
        )
        with suppress(subprocess.TimeoutExpired):
            return command[0], self._process.wait(START_S) == 0
        return command[0], True

    def stop(self) -> None:
        """End what plays."""
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
