/**
 * The votes of this tab so far.
 */
import { html } from "../../vendor/preact.js";

/** @param {{tally: Object<string, number>}} props votes by name */
export function Tally({ tally }) {
  const entries = Object.entries(tally).sort(([, one], [, other]) => other - one);
  if (!entries.length) return null;
  return html`<section class="tally" aria-label="Votes of this tab">
    <h3>Votes of this tab</h3>
    <ul>${entries.map(([name, count]) => html`<li key=${name}>${name}: <strong>${count}</strong></li>`)}</ul>
  </section>`;
}
