/**
 * An answer as words and cards of tunes. What a model writes reaches the page as text nodes alone.
 */
import { html } from "../../vendor/preact.js";
import { waitingText } from "../chat/answer.js";
import { partsOf } from "../chat/parts.js";
import { TuneCard } from "../tune/card.js";

const ENDS = {
  length: "Cut off. Allow longer answers under “Sampling and seed”.",
  time: "Cut off: the time of this server for one answer was over.",
};

/**
 * @param {object} answer see `NO_ANSWER` of writing.js
 * @param {(verdict: string|null) => void} [onVerdict] shown at the first tune, once the answer is complete
 */
export function Answer({ answer, onVerdict }) {
  const isComplete = answer.state !== "writing";
  const parts = partsOf(answer.text, { isComplete });
  return html`<div class="written" aria-busy=${!isComplete}>
    ${parts.map((part, place) => {
      if (part.kind === "words") {
        const isGrowing = !isComplete && place === parts.length - 1;
        return html`<p key=${`words-${place}`} class=${isGrowing ? "words growing" : "words"} dir="auto">${part.text}</p>`;
      }
      const verdict = isComplete && part.number === 0 && answer.state === "done" ? onVerdict : undefined;
      return html`<${TuneCard} key=${`tune-${part.number}`} abc=${part.text} isComplete=${part.isClosed}
        onVerdict=${verdict} />`;
    })}
    ${!isComplete && parts.length === 0 &&
    html`<p class="waiting"><span class="dots" aria-hidden="true"><i /><i /><i /></span>
      ${waitingText(answer.position)}</p>`}
    ${answer.state === "done" && !answer.text.trim() && html`<p class="note">The model ended its answer without a word.</p>`}
    ${answer.facts && ENDS[answer.facts.end] && html`<p class="note">${ENDS[answer.facts.end]}</p>`}
    ${answer.state === "stopped" && html`<p class="note">Stopped; what is written is kept.</p>`}
    ${answer.error && html`<p class="failure" role="alert">${answer.error}</p>`}
  </div>`;
}
