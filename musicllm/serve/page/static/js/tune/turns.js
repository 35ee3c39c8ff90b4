/**
 * Work in turns, one piece before each frame, so that many cards that come into view at once do not
 * hold up the page.
 */

const waiting = new Set();

/** Do something soon; return what takes it back if its turn has not come. */
export function inTurn(work) {
  waiting.add(work);
  if (waiting.size === 1) requestAnimationFrame(next);
  return () => waiting.delete(work);
}

function next() {
  const [work] = waiting;
  if (!work) return;
  waiting.delete(work);
  if (waiting.size) requestAnimationFrame(next);
  work();
}
