/**
 * An answer as words and tunes, while it is written and when it is complete.
 *
 * The rule is the server's: `X:` and a digit at the start of a word begin a tune, which ends at a
 * blank line, at the end of a code block, or where the next begins.
 */
const START = /(?:^|(?<=\s))X:\s*\d/g;
const BLANK_LINE = /\n[ \t]*(?=\n)/;
const FENCE = /\n[ \t]*```/;
const BEGINNING_OF_FENCE = /\n[ \t]*`{1,2}$/;
const FENCE_BEFORE = /(?:^|\n)[ \t]*```[\w-]*[ \t]*\n?$/;
const FENCE_AFTER = /^\s*```[ \t]*(?=\n|$)/;
const BEGINNING_OF_START = /(?:^|\s)(?:`{1,3}[\w-]*[ \t]*\n?)?(?:X:?\s*)?$/;

/** Return `[start, stop)` of each tune, as places in a text. */
export function spansOf(text) {
  const starts = [...text.matchAll(START)].map((match) => match.index);
  const spans = [];
  for (const start of starts) {
    if (spans.length && start < spans.at(-1).stop) {
      if (text[start - 1] !== "\n") continue;
      spans.at(-1).stop = start;
    }
    const rest = text.slice(start);
    const ends = [rest.search(BLANK_LINE), rest.search(FENCE)].filter((end) => end >= 0);
    spans.push({ start, stop: start + Math.min(rest.length, ...ends) });
  }
  return spans;
}

/**
 * Return the parts of a text in order: `{kind: "words", text}` and `{kind: "tune", text, number}`.
 *
 * @param {string} text of an answer
 * @param {{isComplete?: boolean, spans?: {start: number, stop: number}[]}} options while the text is not
 *     complete, an end that may begin a tune is held back; `spans`: of the tunes, where they are known better
 */
export function partsOf(text, { isComplete = true, spans = spansOf(text) } = {}) {
  const parts = [];
  let place = 0;
  const addWords = (stop, isBeforeTune) => {
    let words = text.slice(place, stop);
    if (place > 0) words = words.replace(FENCE_AFTER, "");
    if (isBeforeTune) words = words.replace(FENCE_BEFORE, "");
    else if (!isComplete) words = words.replace(BEGINNING_OF_START, "");
    words = words.replace(/^\s*\n/, "").trimEnd();
    if (words.trim()) parts.push({ kind: "words", text: words });
  };
  spans.forEach(({ start, stop }, number) => {
    addWords(start, true);
    const isClosed = isComplete || stop < text.length;
    let tune = text.slice(start, stop);
    if (!isClosed) tune = tune.replace(BEGINNING_OF_FENCE, "");
    parts.push({ kind: "tune", text: tune.trimEnd(), number, isClosed });
    place = stop;
  });
  addWords(text.length, false);
  return parts;
}

/** Return the spans of the tunes of an answer: the server's where it was asked, else ours. */
export function spansOfAnswer({ text, tunes }) {
  return tunes ?? spansOf(text);
}

/** Return the text of an answer as the model reads it: with the tunes that the user changed. */
export function textOf(answer) {
  let result = "";
  let place = 0;
  spansOfAnswer(answer).forEach(({ start, stop }, number) => {
    if (!(number in answer.edits)) return;
    result += answer.text.slice(place, start) + answer.edits[number].trimEnd();
    place = stop;
  });
  return result + answer.text.slice(place);
}

/**
 * Return the tunes of /v1/tunes/check with places as JavaScript counts them.
 *
 * @param {string} text that was checked; it may hold characters outside the basic plane
 * @param {{abc: string, start: number, stop: number}[]} tunes whose places count code points
 */
export function tunesInText(text, tunes) {
  const places = [0];
  for (const character of text) places.push(places.at(-1) + character.length);
  return tunes.map(({ abc, start, stop }) => ({ abc, start: places[start], stop: places[stop] }));
}
