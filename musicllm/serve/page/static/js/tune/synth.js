/**
 * A worker: plays notes on the instruments of a sound font, a piece of sound at a time.
 *
 * Messages in, in this order: `{kind: "font", bytes}`, `{kind: "rate", rate_hz}`, and then `{kind:
 * "song", song, notes, programs, factor, from_s}` and `{kind: "piece", song, length_s}`. Messages out:
 * `{kind: "ready"}` after the font, `{kind: "piece", song, left, right, is_last}`, and `{kind: "error",
 * reason}`. A new song ends the one before.
 */
import { SoundBankLoader, SpessaSynthProcessor } from "../../vendor/spessasynth.js";

const BLOCK = 128;
const MAX_VOICES = 96;
const TAIL_S = 1.5;

let font = null;
let processor = null;
let song = null;

onmessage = ({ data }) => {
  try {
    if (data.kind === "font") openFont(data);
    else if (data.kind === "rate") openProcessor(data);
    else if (data.kind === "song") openSong(data);
    else if (data.kind === "piece" && data.song === song?.number) postPiece(data.length_s);
  } catch (error) {
    postMessage({ kind: "error", reason: error.message });
  }
};

function openFont({ bytes }) {
  font = SoundBankLoader.fromArrayBuffer(bytes);
  postMessage({ kind: "ready" });
}

function openProcessor({ rate_hz }) {
  processor = new SpessaSynthProcessor(rate_hz, { eventsEnabled: false });
  processor.soundBankManager.addSoundBank(font, "font");
  processor.setSystemParameter("voiceCap", MAX_VOICES);
}

/** Begin at `from_s` of the song; notes that sound there begin there. */
function openSong({ song: number, notes, programs, factor, from_s }) {
  processor.stopAllChannels(true);
  for (const [channel, program] of Object.entries(programs)) {
    while (processor.midiChannels.length <= channel) processor.createMIDIChannel();
    if (program !== null) processor.programChange(Number(channel), program);
  }
  const at = (time_s) => Math.max(0, Math.round(((time_s - from_s) / factor) * processor.sampleRate));
  const events = notes
    .filter((note) => note.end_s > from_s + 0.03)
    .flatMap((note) => [
      { at: at(note.start_s), on: 1, note },
      { at: at(note.end_s), on: 0, note },
    ])
    .sort((one, other) => one.at - other.at || one.on - other.on);
  const length = (events.at(-1)?.at ?? 0) + Math.round(TAIL_S * processor.sampleRate);
  song = { number, events, next: 0, written: 0, length };
}

/** Write the next piece of the song. */
function postPiece(length_s) {
  const rate_hz = processor.sampleRate;
  const samples = Math.max(0, Math.min(Math.round(length_s * rate_hz), song.length - song.written));
  const [left, right] = [new Float32Array(samples), new Float32Array(samples)];
  for (let done = 0; done < samples; ) {
    startAndEndNotes();
    const until = song.events[song.next]?.at ?? Infinity;
    const block = Math.min(BLOCK, samples - done, until - song.written);
    processor.process(left, right, done, block);
    done += block;
    song.written += block;
  }
  const is_last = song.written >= song.length;
  const message = { kind: "piece", song: song.number, left, right, is_last };
  postMessage(message, [left.buffer, right.buffer]);
}

function startAndEndNotes() {
  for (; song.events[song.next]?.at <= song.written; song.next += 1) {
    const { on, note } = song.events[song.next];
    if (on) processor.noteOn(note.channel, note.pitch, note.velocity);
    else processor.noteOff(note.channel, note.pitch);
  }
}
