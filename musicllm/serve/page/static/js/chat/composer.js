/**
 * Where messages are typed: it grows with its text, and stays at the bottom.
 *
 * Enter sends, Shift+Enter begins a new line; the arrow up in an empty field edits the last message.
 */
import { html, useLayoutEffect, useRef } from "../../vendor/preact.js";
import { Icon } from "../icons.js";
import { sendsMessage } from "./keys.js";

/**
 * A text that is too long is refused when it is pasted: a browser is busy for minutes with 10 MB of it.
 *
 * @param {object} props `text` and `onText(text)`; `maxLength` in characters, `onTooLong(length)`; `isBusy`: an answer is being written; `isReady`: the
 *     model is loaded; `onSend()`, `onStop()`, `onEditLast()`; `field`: ref of the text field; `children`: tools
 */
export function Composer({ text, onText, maxLength, onTooLong, isBusy, isReady, onSend, onStop, onEditLast, field, children }) {
  const own = useRef(null);
  const area = field ?? own;
  useLayoutEffect(() => {
    const { style } = area.current;
    style.height = "auto";
    style.height = `${area.current.scrollHeight}px`;
  }, [text]);
  const canSend = Boolean(text.trim()) && isReady && !isBusy;
  const onKeyDown = (event) => {
    if (sendsMessage(event)) {
      event.preventDefault();
      if (canSend) onSend();
    } else if (event.key === "ArrowUp" && !text) {
      event.preventDefault();
      onEditLast();
    }
  };
  const onBeforeInput = (event) => {
    const length = text.length + (event.data?.length ?? 0);
    if (length <= maxLength) return;
    event.preventDefault();
    onTooLong(length);
  };
  return html`<form class="composer" onSubmit=${(event) => event.preventDefault()}
    onClick=${(event) => event.target === event.currentTarget && area.current.focus()}>
    <textarea ref=${area} rows="1" value=${text} aria-label="Message" enterkeyhint="send" dir="auto"
      placeholder="Describe a tune, or ask about one" aria-describedby="composer-keys"
      onInput=${(event) => onText(event.currentTarget.value)} onKeyDown=${onKeyDown}
      onBeforeInput=${onBeforeInput} />
    <div class="tools">
      ${children}
      ${isBusy
        ? html`<button type="button" class="button primary send" onClick=${onStop} key="stop"
            title="Stop (Esc)" aria-label="Stop"><${Icon} name="stop" /></button>`
        : html`<button type="button" class="button primary send" onClick=${onSend} key="send"
            disabled=${!canSend} title=${isReady ? "Send (Enter)" : "The model is not loaded yet"}
            aria-label="Send"><${Icon} name="send" /></button>`}
    </div>
  </form>
  <p class="keys" id="composer-keys">Enter sends · Shift+Enter begins a new line · Esc stops</p>`;
}
