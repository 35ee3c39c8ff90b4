/**
 * Plays songs, one at a time on the whole page.
 *
 * A worker (`synth.js`) writes the sound in pieces, which are queued on the audio clock back to
 * back; each piece that ends orders the next, so nothing depends on timers. The audio clock alone
 * says where the music is. Audio, worker and font are opened at the first sound.
 */

import { request } from "../api.js";

const FONT = "/sounds/font.sf2";
const FIRST_PIECES_S = [0.4, 0.8, 1.6];
const PIECE_S = 1.6;
const LEAD_S = 0.08;
const MOST_GAIN = 4;
const START_MS = 8000;

/** Whether this browser can make sound at all. */
export const hasSound = () =>
  typeof window.AudioContext === "function" && typeof window.Worker === "function";

let audio = null;
let volume = null;
let level = 0.8;
let opened = null;
let worker = null;
let number = 0;
let current = null;

const volumeListeners = new Set();

/** Set the volume of everything, 0 to 1. */
export function setVolume(value) {
  level = value;
  volumeListeners.forEach((listener) => listener(value));
  if (volume) volume.gain.setTargetAtTime(gainOf(value), audio.currentTime, 0.02);
}

export const getVolume = () => level;

/** Call a function with each new volume; return what ends this. */
export function whenVolumeChanges(listener) {
  volumeListeners.add(listener);
  return () => volumeListeners.delete(listener);
}

/**
 * Play a song; whatever played before is paused.
 *
 * @param {object} song of `song.js`.
 * @param {{from_s: number, factor: number, onState: (state: object) => void}} options where to
 *   begin, how many times as fast as written, and who is told `{state: "loading" | "playing" |
 *   "paused" | "ended" | "failed", at_s, reason}`.
 * @returns {{position_s: () => number, pause: () => void}}
 */
export function play(song, { from_s, factor, onState }) {
  current?.pause();
  number += 1;
  const mine = { number, song, from_s, factor, onState, started_s: null, next_s: 0, sources: new Set() };
  mine.position_s = () => positionOf(mine);
  mine.pause = () => stop(mine, "paused");
  current = mine;
  onState({ state: "loading", at_s: from_s });
  open().then(
    () => current === mine && begin(mine),
    (error) => stop(mine, "failed", error.message),
  );
  return mine;
}

function positionOf({ started_s, from_s, factor, song }) {
  if (started_s === null) return from_s;
  const heard_s = audio.currentTime - started_s - (audio.outputLatency || 0);
  return Math.min(from_s + Math.max(0, heard_s) * factor, song.duration_s);
}

function begin(mine) {
  const { song, from_s, factor } = mine;
  worker.postMessage({ kind: "song", song: mine.number, ...song, factor, from_s });
  for (const length_s of FIRST_PIECES_S) order(mine, length_s);
}

const order = (mine, length_s) => worker.postMessage({ kind: "piece", song: mine.number, length_s });

function queue({ song, left, right, is_last }) {
  const mine = current;
  if (mine?.number !== song || !left.length) return;
  const buffer = audio.createBuffer(2, left.length, audio.sampleRate);
  buffer.copyToChannel(left, 0);
  buffer.copyToChannel(right, 1);
  const source = audio.createBufferSource();
  source.buffer = buffer;
  source.connect(volume);
  if (mine.started_s === null) {
    mine.started_s = mine.next_s = audio.currentTime + LEAD_S;
    mine.onState({ state: "playing", at_s: mine.from_s });
  } else if (mine.next_s < audio.currentTime) {
    mine.started_s += audio.currentTime + LEAD_S - mine.next_s; // the worker was too slow: a gap
    mine.next_s = audio.currentTime + LEAD_S;
  }
  source.start(mine.next_s);
  mine.next_s += buffer.duration;
  mine.sources.add(source);
  source.onended = () => {
    mine.sources.delete(source);
    if (current !== mine) return;
    if (is_last) stop(mine, "ended");
    else order(mine, PIECE_S);
  };
}

function stop(mine, state, reason = null) {
  if (current !== mine) return;
  const at_s = state === "ended" ? 0 : positionOf(mine);
  current = null;
  for (const source of mine.sources) {
    source.onended = null;
    source.stop();
  }
  mine.onState({ state, at_s, reason });
}

/** Fetch the font and start the worker already: a sound is likely soon. */
export function warm() {
  if (hasSound()) openWorker().catch(() => {}); // said at the first sound
}

async function open() {
  if (!hasSound()) throw new Error("this browser has no sound (Web Audio)");
  audio ??= new AudioContext();
  volume ??= loudspeakers();
  const [ready] = await Promise.all([openWorker(), resume()]);
  if (worker === ready) return;
  worker = ready;
  worker.postMessage({ kind: "rate", rate_hz: audio.sampleRate });
}

/** Return where sound goes in: the volume, and behind it a limiter that keeps chords from clipping. */
function loudspeakers() {
  const input = new GainNode(audio, { gain: gainOf(level) });
  const limiter = new DynamicsCompressorNode(audio, { threshold: -9, knee: 6, ratio: 12, attack: 0.002 });
  input.connect(limiter).connect(audio.destination);
  return input;
}

const gainOf = (value) => MOST_GAIN * value * value;

/** Start the clock; without an audio device, or before a click, some browsers never do. */
function resume() {
  const late = new Promise((_, reject) => {
    setTimeout(() => reject(new Error("the browser starts no sound; is there an audio device?")), START_MS);
  });
  return Promise.race([audio.resume(), late]);
}

/** Return a promise of the worker with its font; after a failure the next call tries again. */
function openWorker() {
  opened ??= startWorker().catch((error) => {
    opened = null;
    throw error;
  });
  return opened;
}

async function startWorker() {
  const bytes = await (await request(FONT)).arrayBuffer();
  const started = new Worker(new URL("./synth.js", import.meta.url), { type: "module" });
  await new Promise((resolve, reject) => {
    started.onmessage = ({ data }) => (data.kind === "ready" ? resolve() : reject(new Error(data.reason)));
    started.onerror = () => reject(new Error("the synthesiser could not be loaded"));
    started.postMessage({ kind: "font", bytes }, [bytes]);
  }).catch((error) => {
    started.terminate();
    throw error;
  });
  started.onmessage = ({ data }) => {
    if (data.kind === "piece") queue(data);
    else if (current) stop(current, "failed", data.reason);
  };
  return started;
}
