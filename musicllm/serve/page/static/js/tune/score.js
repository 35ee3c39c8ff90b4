/**
 * Draws a tune as a score with abcjs, and says where on it each note of the text is.
 *
 * abcjs is a plain script and defines `window.ABCJS`. It writes text of the tune as text nodes.
 */
import { html, useEffect, useRef, useState } from "../../vendor/preact.js";
import { harmless } from "./harmless.js";
import { barsOfLines } from "./lines.js";
import { inTurn } from "./turns.js";

const WIDE = { staffwidth: 740, bars: 6, preferred: 4 };
const NARROW = { staffwidth: 430, bars: 3, preferred: 2 };
const NARROW_PX = 560;
const PADDING = 4;
const LEAST_SCALE = 0.85;
const FONTS = {
  titlefont: "system-ui 15 bold",
  subtitlefont: "system-ui 13",
  composerfont: "system-ui 12 italic",
  infofont: "system-ui 12 italic",
  tempofont: "system-ui 12",
  gchordfont: "system-ui 12 bold",
  annotationfont: "system-ui 12",
  partsfont: "system-ui 13 bold",
  vocalfont: "system-ui 12",
  measurefont: "system-ui 11 italic",
};

/**
 * The score of a tune.
 *
 * @param {string} abc the tune.
 * @param {number} transpose semitones.
 * @param {(drawn: object) => void} onDrawn receives what `draw` returns.
 * @param {(start: number, stop: number) => void} [onSelect] receives the place in the text of a
 *   note that was clicked.
 * @param {string} label for those who do not see it.
 */
export function Score({ abc, transpose, onDrawn, onSelect, label }) {
  const place = useRef(null);
  const paper = useRef(null);
  const isNarrow = useIsNarrow(place);
  useEffect(() => {
    if (isNarrow === null) return undefined;
    const layout = isNarrow ? NARROW : WIDE;
    return inTurn(() => {
      if (paper.current) onDrawn(draw(paper.current, abc, { transpose, layout, onSelect }));
    });
  }, [abc, transpose, isNarrow]);
  return html`<div class="score" ref=${place} role="img" aria-label=${label}><div ref=${paper} /></div>`;
}

/** Whether an element is too narrow for four bars in a line; null before it was measured. */
function useIsNarrow(place) {
  const [isNarrow, setIsNarrow] = useState(null);
  useEffect(() => {
    const observer = new ResizeObserver(([{ contentRect }]) => {
      if (contentRect.width) setIsNarrow(contentRect.width < NARROW_PX);
    });
    observer.observe(place.current);
    return () => observer.disconnect();
  }, []);
  return isNarrow;
}

/**
 * Draw a tune into an element.
 *
 * @returns {{tune: object, svg: SVGElement, places: Map<number, object>} | {reason: string}} abcjs's
 *   object of the tune and, by offset in the text, `{kind, start, stop, group, staff, staffs}` of
 *   notes, rests and bar lines, with their staff and all staffs of their system.
 */
export function draw(element, abc, { transpose, layout, onSelect }) {
  element.replaceChildren();
  const { abc: text, reason } = harmless(abc);
  if (reason) return { reason };
  try {
    const [tune] = window.ABCJS.renderAbc(element, text, options(text, transpose, layout, onSelect));
    if (!tune?.lines.some((line) => line.staff)) throw new Error("no music");
    const svg = element.querySelector("svg");
    svg.setAttribute("aria-hidden", "true");
    keepLegible(element, svg, layout);
    // abcjs makes every note a stop of the Tab key; the text beside the score is for the keyboard
    for (const stop of svg.querySelectorAll("[tabindex]")) stop.removeAttribute("tabindex");
    return { abc, tune, svg, places: placesOf(tune) };
  } catch (error) {
    element.replaceChildren();
    return { reason: `abcjs cannot draw this text (${error.message})` };
  }
}

/**
 * Let a score that is wider than its layout, by a bar that fits no line, be wider than the card.
 *
 * abcjs shrinks the whole score to the width of its element; the card scrolls instead.
 */
function keepLegible({ style }, svg, layout) {
  const { width, height } = svg.viewBox.baseVal;
  const share = Math.max(1, (LEAST_SCALE * width) / (layout.staffwidth + 2 * PADDING));
  style.width = `${100 * share}%`;
  style.paddingBottom = `${((100 * height) / width) * share}%`;
}

function options(text, transpose, layout, onSelect) {
  const { most, voices } = barsOfLines(text);
  const wraps = voices === 1 && most > layout.bars;
  return {
    responsive: "resize",
    add_classes: true,
    staffwidth: layout.staffwidth,
    paddingleft: PADDING,
    paddingright: PADDING,
    paddingtop: 6,
    paddingbottom: 6,
    format: FONTS,
    visualTranspose: transpose,
    selectTypes: ["note", "bar"],
    clickListener: ({ startChar, endChar }) => onSelect?.(startChar, endChar),
    ...(wraps && {
      wrap: { minSpacing: 1.5, maxSpacing: 2.7, preferredMeasuresPerLine: layout.preferred },
    }),
  };
}

function placesOf(tune) {
  const places = new Map();
  for (const line of tune.lines) {
    for (const [number, staff] of (line.staff ?? []).entries()) {
      for (const element of staff.voices.flat()) addPlace(places, element, number);
    }
  }
  return places;
}

function addPlace(places, { el_type: kind, startChar: start, endChar: stop, abselem }, number) {
  const group = abselem?.elemset?.[0];
  if (!group || (kind !== "note" && kind !== "bar")) return;
  const staffs = [...(group.closest(".abcjs-staff-wrapper")?.querySelectorAll(".abcjs-staff") ?? [])];
  places.set(start, { kind, start, stop, group, staffs, staff: staffs[number] ?? staffs[0] });
}
