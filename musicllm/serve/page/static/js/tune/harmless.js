/**
 * Takes out of a tune what abcjs would act on beyond music, and refuses what would hang the page.
 *
 * The same rules as `music/render/sanitize.py` has for the engines of the server, with one
 * difference: nothing moves. Every character keeps its place, so that the places of notes on the
 * score and of the server's checks are places in the text that the user sees.
 */

const MAX_CHARACTERS = 12_000;
const MAX_LINES = 1_000;
const MAX_LINE_CHARACTERS = 4_000;
const MAX_VOICES = 16;
const MAX_NUMBER_DIGITS = 4;
const MAX_STAFF_LINES = 12;
const MAX_ENDING = 16;

const TEXT_FIELD = /^\s*[A-DF-HNORSTWZrsw+]:/;
const LONG_NUMBER = new RegExp(`\\d{${MAX_NUMBER_DIGITS + 1},}`);
const OCTAVES = /[,']{9,}/;
const VOICE = /(?:^|\[)V:\s*([^\s\]]+)/g;
const ENDING = /[|[]\s*"?((?:\d+[-,x.]*)+)/g;
const STAFF_SIZE = /(stafflines|staffscale|scale|octave|transpose|middle|m)\s*=\s*[-+]?(\d+)/gi;

/**
 * Return `{abc}`, of the same length as the text, or `{reason}` if it cannot be drawn.
 *
 * @param {string} text ABC from anyone.
 */
export function harmless(text) {
  const reason = tooLarge(text);
  if (reason) return { reason };
  let prose = false;
  const lines = text.split("\n").map((line) => {
    if (/^\s*%%\s*begin/i.test(line)) prose = true;
    const inProse = prose;
    if (/^\s*%%\s*end/i.test(line)) prose = false;
    return inProse ? commentOut(line) : withoutInstructions(line);
  });
  return { abc: lines.join("\n") };
}

function tooLarge(text) {
  if (text.length > MAX_CHARACTERS) return atMost("characters", text.length, MAX_CHARACTERS);
  const lines = text.split("\n");
  if (lines.length > MAX_LINES) return atMost("lines", lines.length, MAX_LINES);
  const longest = lines.reduce((most, line) => Math.max(most, line.length), 0);
  if (longest > MAX_LINE_CHARACTERS) {
    return atMost("characters in one line", longest, MAX_LINE_CHARACTERS);
  }
  const music = lines.filter((line) => !TEXT_FIELD.test(line));
  const voices = new Set(music.flatMap((line) => [...line.matchAll(VOICE)].map(([, name]) => name)));
  if (voices.size > MAX_VOICES) return atMost("voices", voices.size, MAX_VOICES);
  for (const line of music) {
    if (LONG_NUMBER.test(line)) return "a number in the tune is above 9,999";
    if (OCTAVES.test(line)) return "a note of the tune has more than 8 octave marks";
    for (const [, numbers] of line.matchAll(ENDING)) {
      const largest = Math.max(...numbers.match(/\d+/g).map(Number));
      if (largest > MAX_ENDING) return `ending ${largest} is above ${MAX_ENDING}`;
    }
    for (const [, name, size] of line.matchAll(STAFF_SIZE)) {
      if (Number(size) > MAX_STAFF_LINES) return `${name}=${size} is above ${MAX_STAFF_LINES}`;
    }
  }
  return null;
}

function atMost(what, count, limit) {
  const number = new Intl.NumberFormat("en");
  return `the tune has ${number.format(count)} ${what}; at most ${number.format(limit)} are drawn`;
}

function commentOut(line) {
  return line.length ? `%${line.slice(1).replaceAll("%", " ")}` : line;
}

/** Turn directives and instructions into comments and spaces. */
function withoutInstructions(line) {
  if (/^\s*I\s*:/.test(line) || /^\s*%/.test(line)) return commentOut(line);
  return line
    .replace(/\[\s*I\s*:[^\]]*\]?/g, (part) => " ".repeat(part.length))
    .replace(/%%+/g, (signs) => `%${" ".repeat(signs.length - 1)}`);
}
