/**
 * Shows on a score what sounds: a line that moves, and the notes in another colour.
 */

const SVG = "http://www.w3.org/2000/svg";
const SOUNDING = "sounding";
const MARGIN = 8;

/**
 * Return a function that shows the notes that sound at a time; with null, it takes everything away.
 *
 * @param {object} drawn of `score.draw`.
 * @param {object} song of `song.songOf`.
 */
export function cursorOn({ svg, places }, song) {
  const line = document.createElementNS(SVG, "line");
  line.setAttribute("class", "cursor");
  const notes = song.notes.filter((note) => places.has(note.place));
  let shown = [];
  return (position_s) => {
    const sounding = position_s === null ? [] : soundingAt(notes, position_s);
    if (position_s !== null && !sounding.length) return; // a rest: stay
    if (same(sounding, shown)) return;
    for (const note of shown) places.get(note.place).group.classList.remove(SOUNDING);
    for (const note of sounding) places.get(note.place).group.classList.add(SOUNDING);
    shown = sounding;
    if (sounding.length) move(line, svg, places.get(sounding.at(-1).place));
    else line.remove();
  };
}

function soundingAt(notes, position_s) {
  let low = 0;
  let high = notes.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (notes[middle].start_s <= position_s) low = middle + 1;
    else high = middle;
  }
  const sounding = [];
  for (let i = low - 1; i >= 0 && i >= low - 64; i -= 1) {
    if (notes[i].end_s > position_s) sounding.unshift(notes[i]);
  }
  return sounding;
}

const same = (one, other) => one.length === other.length && one.every((note, i) => note === other[i]);

function move(line, svg, { group, staffs }) {
  const head = group.querySelector(".abcjs-notehead") ?? group;
  const { x, width } = head.getBBox();
  const boxes = staffs.map((staff) => staff.getBBox());
  line.setAttribute("x1", x + width / 2);
  line.setAttribute("x2", x + width / 2);
  line.setAttribute("y1", Math.min(...boxes.map((box) => box.y)) - MARGIN);
  line.setAttribute("y2", Math.max(...boxes.map((box) => box.y + box.height)) + MARGIN);
  if (line.parentNode !== svg) svg.append(line);
  follow(line, svg.closest(".score"));
}

/** Scroll a score that is wider than its card to its cursor. */
function follow(line, frame) {
  if (!frame || frame.scrollWidth <= frame.clientWidth) return;
  const [at, seen] = [line.getBoundingClientRect(), frame.getBoundingClientRect()];
  if (at.left < seen.left || at.right > seen.right) frame.scrollLeft += at.left - seen.left - seen.width / 4;
}
