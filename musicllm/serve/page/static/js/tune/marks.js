/**
 * Colours on a score: its form, and bars that do not fit their metre.
 */

const SVG = "http://www.w3.org/2000/svg";
const NUM_COLOURS = 6;
const [ABOVE, AROUND] = [14, 5];

/** Return the class of the colour of each label, in order of appearance. */
export function coloursOf(sections) {
  const labels = [...new Set(sections.map((section) => section.label))];
  return new Map(labels.map((label, i) => [label, `form-${i % NUM_COLOURS}`]));
}

/**
 * Mark a score; marks of before are taken away.
 *
 * @param {object} drawn of `score.draw`.
 * @param {{start: number, stop: number, kind: string, title: string, isWhole: boolean}[]} spans
 *   places in the text; `kind` is a class; `isWhole`: all staffs of a system, not only their own.
 */
export function mark({ svg, places }, spans) {
  svg.querySelector(".marks")?.remove();
  const group = document.createElementNS(SVG, "g");
  group.setAttribute("class", "marks");
  svg.prepend(group);
  const inOrder = [...places.values()].sort((one, other) => one.start - other.start);
  for (const span of spans) {
    for (const box of boxesOf(inOrder, span)) group.append(rectangle(box, span));
  }
}

/** Return a box for each system that a span of the text is on. */
function boxesOf(places, { start, stop, isWhole }) {
  const systems = new Map();
  for (const place of places) {
    if (place.stop <= start || !place.staffs.length) continue; // abcjs's notes include spaces before them
    const isInside = place.start < stop;
    if (!isInside && (place.kind !== "bar" || !systems.has(place.staffs[0]))) break;
    const box = place.group.getBBox();
    const seen = systems.get(place.staffs[0]) ?? { place, left: Infinity, right: 0 };
    if (isInside) seen.left = Math.min(seen.left, box.x);
    seen.right = Math.max(seen.right, box.x + box.width);
    systems.set(place.staffs[0], seen);
    if (!isInside) break;
  }
  return [...systems.values()].map(({ place: { staff, staffs }, left, right }) => {
    const lines = (isWhole ? staffs : [staff]).map((one) => one.getBBox());
    const top = Math.min(...lines.map((line) => line.y)) - ABOVE;
    const bottom = Math.max(...lines.map((line) => line.y + line.height)) + ABOVE;
    return { x: left - AROUND, y: top, width: right - left + AROUND, height: bottom - top };
  });
}

function rectangle(box, { kind, title }) {
  const element = document.createElementNS(SVG, "rect");
  for (const [name, value] of Object.entries(box)) element.setAttribute(name, value);
  element.setAttribute("class", kind);
  const label = document.createElementNS(SVG, "title");
  label.textContent = title;
  element.append(label);
  return element;
}
