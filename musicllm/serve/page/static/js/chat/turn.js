/**
 * A turn: the user's message, and its answer, or why there is none.
 */
import { html, useEffect, useRef, useState } from "../../vendor/preact.js";
import { Icon } from "../icons.js";
import { Answer } from "./answer.js";
import { CopyButton } from "./copying.js";
import { sendsMessage } from "./keys.js";

/**
 * @param {object} props `turn`; `writing`: of the answer if it is being written, else null; `isLast`;
 *     `isBusy`: an answer is being written; `isEditing` and `onEditing(isEditing)`
 */
export function Turn({ turn, writing, isLast, isBusy, isEditing, onEditing, conversation, settings }) {
  const onEdit = (message) => {
    onEditing(false);
    conversation.edit(message);
  };
  return html`
    <article class="message">
      <h2 class="unseen">You</h2>
      ${isEditing
        ? html`<${Editor} message=${turn.message} onDone=${onEdit} onCancel=${() => onEditing(false)} />`
        : html`<p class="bubble" dir="auto">${turn.message}</p>
            <div class="actions">
              <${CopyButton} text=${() => turn.message} what="the message" />
              ${isLast &&
              html`<button class="icon-button" disabled=${isBusy} onClick=${() => onEditing(true)}
                title="Edit the message" aria-label="Edit the message"><${Icon} name="edit" /></button>`}
            </div>`}
    </article>
    <article class="answer" aria-busy=${writing !== null}>
      <h2 class="unseen">Answer</h2>
      ${(writing || turn.answer) &&
      html`<${Answer} turn=${turn} writing=${writing} isLast=${isLast} isBusy=${isBusy}
        conversation=${conversation} settings=${settings} />`}
      ${turn.error && !writing &&
      html`<div class="failure" role="alert">
        <p>${turn.error}</p>
        ${isLast &&
        html`<button class="button" disabled=${isBusy} onClick=${() => conversation.retry()}>
          <${Icon} name="retry" />Try again</button>`}
      </div>`}
    </article>
  `;
}

function Editor({ message, onDone, onCancel }) {
  const [text, setText] = useState(message);
  const field = useRef(null);
  useEffect(() => {
    field.current.focus();
    field.current.setSelectionRange(message.length, message.length);
  }, []);
  const done = () => text.trim() && onDone(text);
  const onKeyDown = (event) => {
    if (event.key === "Escape") {
      event.stopPropagation();
      onCancel();
    } else if (sendsMessage(event)) {
      event.preventDefault();
      done();
    }
  };
  return html`<div class="message-editor">
    <textarea ref=${field} aria-label="Your message" value=${text} rows="3"
      onInput=${(event) => setText(event.currentTarget.value)} onKeyDown=${onKeyDown} />
    <div>
      <button class="button" onClick=${onCancel}>Cancel</button>
      <button class="button primary" disabled=${!text.trim()} onClick=${done}>Send</button>
    </div>
  </div>`;
}
