/**
 * The sound of one card: what its player shows, and what its buttons do.
 */
import { useEffect, useRef, useState } from "../../vendor/preact.js";
import { cursorOn } from "./cursor.js";
import { play } from "./player.js";
import { songOf } from "./song.js";

const IDLE = { state: "stopped", reason: null };

/**
 * Return `{state, reason, toggle, seek, seekToPlace}` of a card.
 *
 * @param {object | null} drawn of `score.draw`, null while the card is out of view: then what plays
 *   plays on, without a cursor.
 * @param {{transpose: number, program: number, chords: boolean, factor: number}} sound
 * @param {(at_s: number, duration_s: number) => void} onMove is called while the music moves.
 */
export function usePlayer(drawn, sound, onMove) {
  const [{ state, reason }, setState] = useState(IDLE);
  const at = useRef(0);
  const playing = useRef(null);
  const show = useRef(null);
  const attempt = useRef(0);

  const { factor } = sound;
  const song = useSong(drawn, sound);
  useEffect(() => {
    show.current = drawn?.tune && song ? cursorOn(drawn, song) : null;
    return () => show.current?.(null);
  }, [drawn, song]);

  useEffect(() => {
    at.current = Math.min(at.current, song?.duration_s ?? 0);
    onMove(at.current, song?.duration_s ?? 0);
    if (!playing.current) return;
    if (song) start(Math.min(playing.current.position_s(), song.duration_s));
    else playing.current.pause();
  }, [song, factor]);

  useEffect(() => () => playing.current?.pause(), []);

  useFrames(state === "playing", () => {
    if (!playing.current) return;
    at.current = playing.current.position_s();
    show.current?.(at.current);
    onMove(at.current, song.duration_s);
  });

  function start(from_s) {
    attempt.current += 1;
    const mine = attempt.current; // what a replaced one says no longer counts
    const tell = (next) => mine === attempt.current && onState(next);
    playing.current = play(song, { from_s, factor, onState: tell });
  }

  function onState({ state: next, at_s, reason: why = null }) {
    setState({ state: next, reason: why });
    if (next === "loading" || next === "playing") return;
    playing.current = null;
    at.current = at_s;
    if (next === "ended") show.current?.(null);
    onMove(at_s, song?.duration_s ?? 0);
  }

  function seek(at_s) {
    at.current = Math.max(0, Math.min(at_s, song.duration_s));
    show.current?.(at.current);
    onMove(at.current, song.duration_s);
    if (playing.current) start(at.current);
  }

  const toggle = () => {
    if (playing.current) playing.current.pause();
    else if (song) start(at.current);
  };
  const seekToPlace = (place) => {
    const note = song?.notes.find((one) => one.place === place);
    if (note) seek(note.start_s);
  };
  return { state, reason, toggle, seek, seekToPlace, song };
}

/** The song of what is drawn: null if the text cannot be drawn, the one before if it is out of view. */
function useSong(drawn, { transpose, program, chords }) {
  const last = useRef({ key: null, song: null });
  if (drawn?.reason) last.current = { key: null, song: null };
  if (drawn?.tune) {
    const key = JSON.stringify([drawn.abc, transpose, program, chords]);
    if (last.current.key !== key) {
      last.current = { key, song: songOf(drawn.tune, { transpose, program, chords }) };
    }
  }
  return last.current.song;
}

/** Call a function before each frame of the screen while `isOn`. */
function useFrames(isOn, onFrame) {
  const latest = useRef(onFrame);
  latest.current = onFrame;
  useEffect(() => {
    if (!isOn) return undefined;
    let frame = requestAnimationFrame(function next() {
      latest.current();
      frame = requestAnimationFrame(next);
    });
    return () => cancelAnimationFrame(frame);
  }, [isOn]);
}
