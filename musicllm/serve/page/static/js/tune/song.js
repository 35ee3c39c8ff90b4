/**
 * The notes of a drawn tune in time, with repeats and endings played.
 *
 * abcjs resolves repeats, ties, accidentals, ornaments and chord symbols; here its fractions of
 * whole notes become seconds, and each note keeps its place in the text, by which the cursor
 * finds it on the score. Times are at the tune's own tempo; the player scales them.
 */

const DRUMS = 9;
const DRUM_PROGRAM = 128;
const QUARTERS_PER_MINUTE = 120;
const MAX_SONG_S = 1800;
const MAX_NOTES = 20_000;
const MOST_WHOLE_S = 300;
const SHORTEST_S = 0.02;
const MOST_PITCH = 127;
const MOST_VELOCITY = 127;

/**
 * Return the sound of a tune: `{notes, programs, duration_s, problems}`.
 *
 * `notes` are sorted by start: `{start_s, end_s, pitch, velocity, channel, place}`, with `place` the
 * offset in the text, null for notes of chord symbols. `programs` has the General MIDI program of
 * each channel, null for drums. `problems` says in words what does not sound.
 *
 * @param {object} tune of `score.draw`.
 * @param {{transpose: number, program: number, chords: boolean}} settings semitones, General MIDI
 *   program of the voices, and whether chord symbols sound.
 */
export function songOf(tune, settings) {
  try {
    return songWithin(sequence(tune, settings));
  } catch (error) {
    return { notes: [], programs: {}, duration_s: 0, problems: [`no sound: ${error.message}`] };
  }
}

/** Return the notes of abcjs in seconds, and the programs. */
function sequence(tune, { transpose, program, chords }) {
  const beat = tune.getBeatLength();
  const audio = tune.setUpAudio({
    midiTranspose: transpose,
    program,
    chordsOff: !chords,
    defaultQpm: QUARTERS_PER_MINUTE / 4 / beat,
  });
  const whole_s = 60 / audio.tempo / beat;
  if (!(whole_s > 0 && whole_s < MOST_WHOLE_S)) throw new Error("the tempo cannot be played");
  const notes = [];
  const programs = {};
  audio.tracks.forEach((track, number) => {
    const own = number < DRUMS ? number : number + 1;
    for (const event of track) {
      if (event.cmd !== "note" || !event.volume) continue;
      const channel = event.instrument === DRUM_PROGRAM ? DRUMS : own;
      programs[channel] ??= channel === DRUMS ? null : event.instrument;
      const start_s = event.start * whole_s;
      const end_s = start_s + event.duration * whole_s - Math.max(event.gap, 0);
      const place = event.startChar ?? null;
      const velocity = Math.max(1, Math.min(Math.round(event.volume), MOST_VELOCITY));
      notes.push({ start_s, end_s, pitch: event.pitch, velocity, channel, place });
    }
  });
  return { notes, programs };
}

/** Leave out what cannot be played, and say so. */
function songWithin({ notes: all, programs }) {
  const problems = [];
  const playable = all.filter(({ pitch, start_s, end_s }) => pitch >= 0 && pitch <= MOST_PITCH && end_s > start_s);
  const left = all.length - playable.length;
  if (left) problems.push(`${left} notes are too high, too low or too short to sound`);
  playable.sort((one, other) => one.start_s - other.start_s);
  const notes = playable.filter((note) => note.start_s < MAX_SONG_S).slice(0, MAX_NOTES);
  if (notes.length < playable.length) problems.push("it is too long: only its beginning sounds");
  if (!notes.length) problems.push("it has no notes that sound");
  endBeforeTheNext(notes);
  const duration_s = notes.reduce((last, note) => Math.max(last, note.end_s), 0);
  return { notes, programs, duration_s, problems };
}

/** A note that is repeated while it sounds ends first: an instrument has each pitch only once. */
function endBeforeTheNext(notes) {
  const sounding = new Map();
  for (const note of notes) {
    const key = note.channel * 128 + note.pitch;
    const before = sounding.get(key);
    if (before && before.start_s < note.start_s) before.end_s = Math.min(before.end_s, note.start_s);
    sounding.set(key, note);
    note.end_s = Math.min(Math.max(note.end_s, note.start_s + SHORTEST_S), MAX_SONG_S);
  }
}
