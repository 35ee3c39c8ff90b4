/**
 * What an empty conversation shows: what this is, and messages to begin with.
 */
import { html } from "../../vendor/preact.js";

/** @param {{settings: object, onChoose: (message: string) => void}} props */
export function Welcome({ settings, onChoose }) {
  return html`<section class="welcome">
    <h2>What shall we play?</h2>
    <p>Ask for a tune, give a motif or chords, or send a melody in ABC notation. Every tune of an answer
      is engraved, checked and ready to play.</p>
    <ul class="examples">
      ${settings.examples.map(
        ({ title, summary, message }) => html`<li key=${title}>
          <button onClick=${() => onChoose(message)}>
            <strong>${title}</strong><span>${summary}</span>
          </button>
        </li>`,
      )}
    </ul>
  </section>`;
}
