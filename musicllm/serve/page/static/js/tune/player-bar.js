/**
 * The player of a card: play and pause, position, and how it sounds.
 */
import { html, useEffect, useRef, useState } from "../../vendor/preact.js";
import { Icon } from "../icons.js";
import { FAMILIES } from "./instruments.js";
import { getVolume, hasSound, setVolume, warm, whenVolumeChanges } from "./player.js";
import { usePlayer } from "./use-player.js";

const STEP_S = 0.1;
const MOST_SEMITONES = 12;
const LABELS = { playing: "Pause", loading: "Pause" };

/**
 * @param {object | null} drawn of `score.draw`.
 * @param {object} sound `{transpose, program, chords, factor}`.
 * @param {(change: object) => void} onSound receives changes of it.
 * @param {{current: (place: number) => void}} seeker is set to what goes to a place of the text.
 */
export function PlayerBar({ drawn, sound, onSound, seeker }) {
  const slider = useRef(null);
  const clock = useRef(null);
  const onMove = (at_s, duration_s) => {
    if (!slider.current) return;
    slider.current.max = duration_s;
    slider.current.value = at_s;
    const text = `${clockOf(at_s / sound.factor)} / ${clockOf(duration_s / sound.factor)}`;
    if (clock.current.textContent === text) return;
    clock.current.textContent = text;
    slider.current.setAttribute("aria-valuetext", text);
  };
  const { state, reason, toggle, seek, seekToPlace, song } = usePlayer(drawn, sound, onMove);
  seeker.current = seekToPlace;
  if (!hasSound()) {
    return html`<p class="tune-problem" role="status">No sound: this browser has no Web Audio.</p>`;
  }
  return html`<div class="player" role="group" aria-label="Player" data-state=${state}>
      <button type="button" class="button primary play" disabled=${!song?.notes.length} onClick=${toggle}
        onPointerEnter=${warm} onFocus=${warm}
        aria-label=${LABELS[state] ?? "Play"}>
        <${Icon} name=${LABELS[state] ? "pause" : "play"} />
      </button>
      <input type="range" ref=${slider} min="0" max="1" step=${STEP_S} aria-label="Position"
        disabled=${!song} onInput=${(event) => seek(Number(event.target.value))} />
      <span class="clock" ref=${clock}>0:00</span>
    </div>
    ${state === "failed" && html`<p class="tune-problem" role="alert">No sound: ${reason}</p>`}
    ${song?.problems.length > 0 &&
    html`<p class="tune-problem" role="status">Sound: ${song.problems.join("; ")}</p>`}`;
}

const clockOf = (s) => `${Math.floor(s / 60)}:${String(Math.floor(s % 60)).padStart(2, "0")}`;

/** Controls of tempo, transposition, instrument, volume, and of the sound of chord symbols. */
export function SoundSettings({ sound, onSound }) {
  const { transpose, program, chords, factor } = sound;
  const set = (name) => (event) => onSound({ [name]: Number(event.target.value) });
  return html`<div class="sound-settings">
    <label>Tempo <span class="value" aria-hidden="true">${Math.round(factor * 100)} %</span>
      <input type="range" min="0.4" max="2" step="0.05" value=${factor}
        aria-valuetext=${`${Math.round(factor * 100)} percent`} onInput=${set("factor")} />
    </label>
    <label>Transpose <span class="value" aria-hidden="true">${signed(transpose)}</span>
      <input type="range" min=${-MOST_SEMITONES} max=${MOST_SEMITONES} step="1" value=${transpose}
        aria-valuetext=${`${signed(transpose)} semitones`} onInput=${set("transpose")} />
    </label>
    <label>Instrument
      <select value=${program} onChange=${set("program")}>
        ${FAMILIES.map(
          ([family, names], number) => html`<optgroup label=${family}>
            ${names.map((name, i) => html`<option value=${8 * number + i}>${name}</option>`)}
          </optgroup>`,
        )}
      </select>
    </label>
    <${Volume} />
    <label class="check">
      <input type="checkbox" checked=${chords}
        onChange=${(event) => onSound({ chords: event.target.checked })} />
      Play chord symbols
    </label>
  </div>`;
}

const signed = (number) => (number > 0 ? `+${number}` : String(number).replace("-", "−"));

function Volume() {
  const [volume, show] = useState(getVolume);
  useEffect(() => whenVolumeChanges(show), []);
  return html`<label>Volume <span class="value" aria-hidden="true">${Math.round(volume * 100)} %</span>
    <input type="range" min="0" max="1" step="0.05" value=${volume}
      aria-valuetext=${`${Math.round(volume * 100)} percent`}
      onInput=${(event) => setVolume(Number(event.target.value))} />
  </label>`;
}
