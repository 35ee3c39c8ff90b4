/**
 * The server's checks of a tune: what they say, and where on the score.
 */
import { html, useEffect, useState } from "../../vendor/preact.js";
import { request } from "../api.js";
import { coloursOf } from "./marks.js";

const PAUSE_MS = 300;
const MOST_PROBLEMS = 6;

/**
 * Return `{checks, error}` of a tune: an item of `tunes` of /v1/tunes/check, null before it is there.
 *
 * @param {string} abc
 * @param {boolean} isOn whether to ask the server at all.
 */
export function useChecks(abc, isOn) {
  const [answer, setAnswer] = useState({ abc: null, checks: null, error: null });
  useEffect(() => {
    if (!isOn || answer.abc === abc) return undefined;
    const leaving = new AbortController();
    const read = async () => {
      try {
        const body = { abc, is_tune: true, offsets: "utf-16" };
        const response = await request("/v1/tunes/check", { body, signal: leaving.signal });
        const { tunes, problem } = await response.json();
        setAnswer({ abc, checks: tunes[0] ?? null, error: tunes.length ? null : problem });
      } catch (error) {
        if (error.name !== "AbortError") setAnswer({ abc, checks: null, error: error.message });
      }
    };
    const timer = setTimeout(read, answer.abc === null ? 0 : PAUSE_MS);
    return () => {
      clearTimeout(timer);
      leaving.abort();
    };
  }, [abc, isOn]);
  const isCurrent = answer.abc === abc;
  return { checks: isCurrent ? answer.checks : null, error: isCurrent ? answer.error : null };
}

/** Return the places to mark on the score, for `marks.mark`. */
export function spansOf({ sections, bars }) {
  const colours = coloursOf(sections);
  const form = sections.map(({ start, stop, label }) => ({
    start,
    stop,
    kind: `form ${colours.get(label)}`,
    title: `Section ${label}`,
    isWhole: true,
  }));
  const misfits = bars
    .filter((bar) => !bar.fits)
    .map((bar) => ({ start: bar.start, stop: bar.stop, kind: "misfit", title: textOfBar(bar) }));
  return [...form, ...misfits];
}

function textOfBar({ number, voice, expected, actual }) {
  const where = voice && voice !== "1" ? `Bar ${number} of voice ${voice}` : `Bar ${number}`;
  return expected ? `${where} has ${actual} instead of ${expected}` : `${where} does not fit`;
}

/**
 * What the checks say, in words.
 *
 * @param {(start: number, stop: number) => void} onShow receives the place of what was clicked.
 */
export function Checks({ checks, error, onShow }) {
  if (error) return html`<p class="tune-checks" role="status">No checks: ${error}</p>`;
  if (!checks) return html`<p class="tune-checks muted" role="status">Checking…</p>`;
  const misfits = checks.bars.filter((bar) => !bar.fits);
  return html`<div class="tune-checks" role="group" aria-label="Checks">
    <${Facts} checks=${checks} isGood=${!misfits.length && checks.num_bars_fitting === checks.num_bars} />
    <ul class="problems">
      ${checks.error && html`<${Problem} text=${checks.error.message} place=${checks.error} onShow=${onShow} />`}
      ${misfits
        .slice(0, MOST_PROBLEMS)
        .map((bar) => html`<${Problem} text=${textOfBar(bar)} place=${bar} onShow=${onShow} />`)}
      ${misfits.length > MOST_PROBLEMS && html`<li>and ${misfits.length - MOST_PROBLEMS} more bars</li>`}
      ${!checks.error &&
      !misfits.length &&
      checks.problems.map((text) => html`<li>${text}</li>`)}
    </ul>
  </div>`;
}

function Facts({ checks, isGood }) {
  const { key, key_estimate: estimate, metre, num_bars: all, num_bars_fitting: fitting, length_in_bars: length } = checks;
  const colours = coloursOf(checks.sections);
  return html`<ul class="facts">
    ${key && html`<li><${Term} text="Key" />${key}</li>`}
    ${estimate && estimate !== key && html`<li><${Term} text="Sounds in" />${estimate}</li>`}
    ${metre && html`<li><${Term} text="Metre" />${metre}</li>`}
    ${length && length !== all && html`<li><${Term} text="Length" />${length} bars</li>`}
    ${all > 0 && html`<li class=${isGood ? "good" : "bad"}>${fitting} of ${all} bars fit</li>`}
    ${checks.sections.length > 0 &&
    html`<li class="sections">
      <${Term} text="Form" />
      ${checks.sections.map(({ label }) => html`<b class=${`form ${colours.get(label)}`}>${label}</b>`)}
    </li>`}
  </ul>`;
}

const Term = ({ text }) => html`<span class="term">${text} </span>`;

function Problem({ text, place, onShow }) {
  if (place.start === null) return html`<li>${text}</li>`;
  return html`<li>
    <button type="button" onClick=${() => onShow(place.start, place.stop)}>
      ${text}<span class="unseen">: show in the text</span>
    </button>
  </li>`;
}
