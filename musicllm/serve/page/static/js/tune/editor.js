/**
 * The text of a tune, to be changed: score, sound and checks follow each change.
 */
import { html, useEffect } from "../../vendor/preact.js";
import { Icon } from "../icons.js";

const MOST_ROWS = 24;

/**
 * @param {string} text
 * @param {string} original as it was written; a button goes back to it.
 * @param {(text: string) => void} onText
 * @param {[number, number] | null} selected part that is selected when it changes.
 * @param {{current: HTMLTextAreaElement}} place ref of the field.
 */
export function Editor({ text, original, onText, selected, place }) {
  useEffect(() => {
    if (!selected) return;
    place.current.focus();
    place.current.setSelectionRange(...selected);
  }, [selected]);
  const rows = Math.min(MOST_ROWS, text.split("\n").length + 1);
  return html`<div class="editor">
    <label>
      <span class="unseen">ABC of the tune</span>
      <textarea ref=${place} rows=${rows} value=${text} spellcheck=${false} autocapitalize="off"
        autocomplete="off" onInput=${(event) => onText(event.target.value)}></textarea>
    </label>
    ${text !== original &&
    html`<button type="button" class="button" onClick=${() => onText(original)}>
      <${Icon} name="retry" />As it was written
    </button>`}
  </div>`;
}
