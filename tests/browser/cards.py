"""Cards of tunes alone on the page, and what sounds."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

RECORDER = """
window.heard = { rate: 0, pieces: [], scheduled: [] };
const mono = (buffer) => {
  const [left, right] = [0, 1].map((channel) => buffer.getChannelData(channel));
  return left.map((sample, i) => (sample + right[i]) / 2);
};
const start = AudioBufferSourceNode.prototype.start;
AudioBufferSourceNode.prototype.start = function (...times) {
  window.heard.scheduled.push(mono(this.buffer));
  return start.apply(this, times);
};
const connect = AudioNode.prototype.connect;
AudioNode.prototype.connect = function (target, ...rest) {
  if (target instanceof AudioDestinationNode && !(this instanceof ScriptProcessorNode)) {
    const tap = this.context.createScriptProcessor(4096, 2, 1);
    window.heard.rate = this.context.sampleRate;
    tap.onaudioprocess = ({ inputBuffer }) => window.heard.pieces.push(mono(inputBuffer));
    connect.call(this, tap);
    connect.call(tap, target);
  }
  return connect.call(this, target, ...rest);
};
"""
"""Records whatever reaches the loudspeakers, and the pieces that are scheduled one after the other.

A machine that is busy may lose some of the former, as a listener would; the latter are complete.
"""

SHOW = """async ([tunes, isComplete, votes]) => {
  const { html, render } = await import("/static/vendor/preact.js");
  const { TuneCard } = await import("/static/js/tune/card.js");
  window.edits ??= [];
  window.verdicts ??= [];
  document.querySelector("#cards")?.remove();
  const place = document.createElement("div");
  place.id = "cards";
  document.body.replaceChildren(place);
  const extra = votes ? { onVerdict: (verdict) => window.verdicts.push(verdict) } : {};
  render(html`${tunes.map((abc) => html`<${TuneCard} abc=${abc} isComplete=${isComplete}
    onChange=${(text) => window.edits.push(text)} ...${extra} />`)}`, place);
}"""

SOUND = """(kind) => {
  const pieces = window.heard[kind];
  const all = new Float32Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  pieces.reduce((at, piece) => { all.set(piece, at); return at + piece.length; }, 0);
  let text = "";
  const bytes = new Uint8Array(all.buffer);
  for (let at = 0; at < bytes.length; at += 32768) {
    text += String.fromCharCode(...bytes.subarray(at, at + 32768));
  }
  return [window.heard.rate, btoa(text)];
}"""


def show(page: Any, tunes: Sequence[str], *, complete: bool = True, votes: bool = False) -> None:
    """Replace what the page shows by cards of tunes."""
    page.wait_for_function("() => window.ABCJS")
    page.evaluate(SHOW, [list(tunes), complete, votes])


def heard(page: Any) -> NDArray[np.float32]:
    """Return the samples, shape (samples,), of what sounded since the page was opened.

    The page must have been opened with `RECORDER`, here and in `scheduled`.
    """
    return _samples(page, "pieces")[1]


def scheduled(page: Any) -> tuple[int, NDArray[np.float32]]:
    """Return rate and samples, shape (samples,), of the pieces of sound that were scheduled."""
    return _samples(page, "scheduled")


def _samples(page: Any, kind: str) -> tuple[int, NDArray[np.float32]]:
    rate_hz, text = page.evaluate(SOUND, kind)
    return int(rate_hz), np.frombuffer(base64.b64decode(text), np.float32)


def onset(samples: NDArray[np.float32], rate_hz: int) -> float:
    """Return when the first sound begins, in seconds."""
    return float(np.argmax(np.abs(samples) > 0.001)) / rate_hz


def pitch(samples: NDArray[np.float32], rate_hz: int) -> int:
    """Return the MIDI number of the lowest strong partial of a stretch of sound."""
    size = 1 << 16
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), size))
    numbers = np.arange(36, 100)
    bins = np.rint(440 * 2 ** ((numbers - 69) / 12) * size / rate_hz).astype(int)
    strength = np.array([spectrum[b - 2 : b + 3].max() for b in bins])
    return int(numbers[np.argmax(strength > 0.4 * strength.max())])
