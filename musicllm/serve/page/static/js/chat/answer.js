/**
 * An answer: its words as text and its tunes as cards, while it is written and afterwards.
 *
 * What a model writes reaches the page as text nodes alone; nothing of it is ever HTML.
 */
import { html, useEffect, useState } from "../../vendor/preact.js";
import { sendVerdict } from "../answers/verdicts.js";
import { Icon } from "../icons.js";
import { TuneCard } from "../tune/card.js";
import { CopyButton } from "./copying.js";
import { partsOf, textOf } from "./parts.js";
import { messagesOf } from "./request.js";

/**
 * An answer; its parts stay the same elements when it is complete, so that nothing is drawn anew.
 *
 * @param {object} props `turn`; `writing`: `{text, position}` while it is being written, else null; `isLast`;
 *     `isBusy`: any answer is being written; `conversation`, `settings`
 */
export function Answer({ turn, writing, isLast, isBusy, conversation, settings }) {
  const { id } = turn;
  const answer = writing ? null : turn.answer;
  useEffect(() => {
    if (answer && !answer.tunes && answer.text.includes("X:")) conversation.findTunes(id);
  }, [answer?.text]);
  const parts = answer
    ? partsOf(answer.text, { spans: answer.tunes ?? undefined })
    : partsOf(writing.text, { isComplete: false });
  const [outcome, onVerdict] = useVerdict(turn, conversation);
  const takesVerdict = answer && settings.preferences;
  const writtenOf = ({ number, text }) => answer?.tunes?.[number].abc ?? text;
  const onChange = (part, abc) => conversation.editTune(id, part.number, abc === writtenOf(part) ? null : abc);
  return html`
    ${parts.map((part, place) =>
      part.kind === "words"
        ? html`<${Words} key=${`words-${place}`} text=${part.text} isGrowing=${!answer && part === parts.at(-1)} />`
        : html`<${TuneCard} key=${`tune-${part.number}`} abc=${answer?.edits[part.number] ?? writtenOf(part)}
            original=${writtenOf(part)} isComplete=${answer !== null || part.isClosed}
            onChange=${(abc) => onChange(part, abc)}
            onVerdict=${takesVerdict && part.number === 0 ? onVerdict : undefined} />`,
    )}
    ${!answer && !parts.length && html`<${Waiting} key="waiting" position=${writing.position} />`}
    ${answer &&
    html`<${Ending} key="ending" answer=${answer} error=${turn.error} outcome=${outcome} isLast=${isLast} isBusy=${isBusy}
      settings=${settings} onRetry=${() => conversation.retry()} />`}
  `;
}

/** What became of an answer that is complete (`error`: shown below why it broke off), and what can be done with it. */
function Ending({ answer, error, outcome, isLast, isBusy, settings, onRetry }) {
  return html`
    ${outcome && html`<p class="note" role="status">${outcome}</p>`}
    ${notesOf(answer, error, settings).map((note) => html`<p class="note" key=${note}>${note}</p>`)}
    <div class="actions">
      <${CopyButton} text=${() => textOf(answer)} what="the answer" />
      ${isLast &&
      html`<button class="icon-button" disabled=${isBusy} onClick=${onRetry}
        title="Another answer" aria-label="Another answer"><${Icon} name="retry" /></button>`}
      <span class="facts">${factsOf(answer)}</span>
    </div>
  `;
}

/** What became of the last verdict on an answer, and the function that sends one. */
function useVerdict({ id, answer }, conversation) {
  const [outcome, setOutcome] = useState("");
  useEffect(() => setOutcome(""), [answer?.text]);
  const onVerdict = (verdict) => {
    const { state } = conversation;
    const turns = state.turns.slice(0, state.turns.findIndex((turn) => turn.id === id) + 1);
    const messages = messagesOf({ ...state, turns });
    sendVerdict({ messages, answer: answer.text, verdict, writer: state.model }).then(setOutcome, (error) =>
      setOutcome(error.message));
  };
  return [outcome, onVerdict];
}

function Waiting({ position }) {
  return html`<p class="waiting"><span class="dots" aria-hidden="true"><i /><i /><i /></span>
    ${waitingText(position)}</p>`;
}

function Words({ text, isGrowing }) {
  return html`<p class=${isGrowing ? "words growing" : "words"} dir="auto">${text}</p>`;
}

/** What a user who waits is told; `position`: requests that come before, null once it is their turn. */
export function waitingText(position) {
  if (position === null) return "";
  if (position === 0) return "Yours is the next answer";
  return position === 1 ? "1 answer is written before yours" : `${position} answers are written before yours`;
}

function factsOf({ seed, numNewTokens, edits }) {
  const facts = [`seed ${seed}`];
  if (numNewTokens !== null) facts.push(numNewTokens === 1 ? "1 token" : `${numNewTokens} tokens`);
  if (Object.keys(edits).length) facts.push("edited: the model reads your version");
  return facts.join(" · ");
}

function notesOf({ text, end, numNewTokens, numLeftOut }, error, { limits }) {
  const notes = [];
  if (numLeftOut) {
    const turns = numLeftOut === 1 ? "The oldest message and its answer do" : `The oldest ${numLeftOut} messages and their answers do`;
    notes.push(`${turns} not fit the model's context and were left out.`);
  }
  if (end === "length") notes.push(`Cut off after ${numNewTokens ?? "the longest number of"} tokens. Allow longer answers in Settings.`);
  if (end === "time") notes.push(`Cut off: one answer may take ${limits.time_limit_s} seconds on this server.`);
  if (end === "stopped" && !error) notes.push("Stopped; what is written is kept.");
  if (!text.trim()) notes.push("The model ended its answer without a word.");
  return notes;
}
