/**
 * The chat: a conversation with the model.
 *
 * The conversation lives in this tab of the browser (`conversation.js`, `storage.js`); here is what is
 * shown of it, and what keys and buttons do.
 */
import { html, useEffect, useRef, useState } from "../../vendor/preact.js";
import { Icon } from "../icons.js";
import { waitingText } from "./answer.js";
import { Composer } from "./composer.js";
import { Conversation } from "./conversation.js";
import { open, save } from "./files.js";
import { Log } from "./log.js";
import { partsOf } from "./parts.js";
import { requestOf } from "./request.js";
import { SettingsDrawer, settingsInWords } from "./settings.js";
import { restoredState } from "./state.js";
import { store, stored } from "./storage.js";
import { newTurn } from "./turns.js";
import { Welcome } from "./welcome.js";

const STORED_EVERY_MS = 500;

/** The conversation of this tab and its state, which is stored as it changes. */
function useConversation(settings) {
  const [conversation] = useState(() => new Conversation(restoredState(stored(), settings)));
  const [state, setState] = useState(conversation.state);
  const [isStored, setStored] = useState(true);
  useEffect(() => {
    let timer = null;
    const storeNow = () => {
      timer = null;
      setStored(store(conversation.state));
    };
    const end = conversation.subscribe((next) => {
      setState(next);
      timer ??= setTimeout(storeNow, STORED_EVERY_MS);
    });
    addEventListener("pagehide", storeNow);
    return () => {
      end();
      removeEventListener("pagehide", storeNow);
    };
  }, []);
  return { conversation, state, isStored };
}

/** Esc ends the answer that is being written, wherever the focus is in this tab. */
function useEscape(isFront, isBusy, conversation) {
  useEffect(() => {
    if (!isFront || !isBusy) return undefined;
    const onKeyDown = (event) => {
      if (event.key !== "Escape" || document.querySelector("dialog[open]")) return;
      conversation.stop();
    };
    addEventListener("keydown", onKeyDown);
    return () => removeEventListener("keydown", onKeyDown);
  }, [isFront, isBusy]);
}

/** The message field has the focus at first where no keyboard comes up on the screen for it. */
function useFirstFocus(field, isFront) {
  useEffect(() => {
    const isFree = !document.activeElement || document.activeElement === document.body;
    if (isFront && isFree && !matchMedia("(pointer: coarse)").matches) field.current.focus({ preventScroll: true });
  }, []);
}

/** Why a message cannot be sent; null if it can. */
function problemOf(message, state, { limits }) {
  const body = JSON.stringify(requestOf({ ...state, turns: [...state.turns, newTurn(message)] }));
  const size = new TextEncoder().encode(body).length;
  return size <= limits.max_body_mb * 1e6 ? null : tooLarge("conversation with this message", size, limits);
}

function tooLarge(what, size, limits) {
  const number = (value) => value.toLocaleString("en", { maximumSignificantDigits: 3 });
  return `The ${what} has ${number(size / 1e6)} MB; this server takes ${number(limits.max_body_mb)} MB. Shorten it.`;
}

export function ChatTab({ settings, isFront }) {
  const { conversation, state, isStored } = useConversation(settings);
  const [text, setText] = useState("");
  const [isEditing, setEditing] = useState(false);
  const [isDrawerOpen, setDrawerOpen] = useState(false);
  const [notice, setNotice] = useState(null);
  const field = useRef(null);
  const isBusy = state.writing !== null;
  const isReady = settings.models.find((model) => model.name === state.model).state === "ready";
  useEscape(isFront, isBusy, conversation);
  useFirstFocus(field, isFront);
  const say = (message) => {
    const problem = problemOf(message, state, settings);
    setNotice(problem && { text: problem });
    if (problem) return;
    setEditing(false);
    setText("");
    conversation.say(message);
  };
  const choose = (message) => {
    if (isReady) return say(message);
    setText(message);
    field.current.focus();
  };
  const clear = () => {
    const { turns, replaced } = conversation.state;
    conversation.clear();
    setEditing(false);
    setNotice({ text: "A new conversation began.", action: "Bring the last one back", do: () => conversation.set({ turns, replaced }) });
    field.current.focus();
  };
  const openFile = () =>
    open(settings, {
      onState: (next) => {
        conversation.load(next);
        setNotice(null);
      },
      onProblem: (problem) => setNotice({ text: problem }),
    });
  return html`<div class="chat">
    <${Log} state=${state} conversation=${conversation} settings=${settings}
      isEditing=${isEditing && !isBusy} onEditing=${setEditing}>
      <${Welcome} settings=${settings} onChoose=${choose} />
    <//>
    <div class="foot column">
      <div role="status">
        ${notice && html`<${Notice} notice=${notice} onClose=${() => setNotice(null)} />`}
        ${!isStored && html`<p class="notice">The conversation is too long for the browser to keep over a reload; save it.</p>`}
      </div>
      <${Composer} text=${text} onText=${setText} field=${field} isBusy=${isBusy} isReady=${isReady}
        maxLength=${settings.limits.max_body_mb * 1e6}
        onTooLong=${(length) => setNotice({ text: tooLarge("message", length, settings.limits) })}
        onSend=${() => say(text)} onStop=${() => conversation.stop()}
        onEditLast=${() => state.turns.length && !isBusy && setEditing(true)}>
        <${Tool} icon="fresh" label="New conversation" isDisabled=${!state.turns.length} onClick=${clear} />
        <${Tool} icon="open" label="Open a saved conversation" onClick=${openFile} />
        <${Tool} icon="save" label="Save the conversation" isDisabled=${!state.turns.length || isBusy}
          onClick=${() => save(state)} />
        <button type="button" class="button quiet" onClick=${() => setDrawerOpen(true)} aria-haspopup="dialog"
          title="Settings"><${Icon} name="sliders" /><span class="unseen">Settings: </span>${settingsInWords(state)}</button>
      <//>
    </div>
    <${SettingsDrawer} state=${state} conversation=${conversation} settings=${settings}
      isOpen=${isDrawerOpen} onClose=${() => setDrawerOpen(false)} />
    <p class="unseen" role="status">${progressOf(state)}</p>
  </div>`;
}

function Tool({ icon, label, isDisabled = false, onClick }) {
  return html`<button type="button" class="icon-button" disabled=${isDisabled} onClick=${onClick}
    title=${label} aria-label=${label}><${Icon} name=${icon} /></button>`;
}

function Notice({ notice, onClose }) {
  const onAction = () => {
    notice.do();
    onClose();
  };
  return html`<p class="notice"><span>${notice.text}</span>
    ${notice.action && html`<button class="button" onClick=${onAction}>${notice.action}</button>`}
    <button class="icon-button" onClick=${onClose} title="Close" aria-label="Close"><${Icon} name="close" /></button>
  </p>`;
}

/** Where an answer is, for those who do not see it grow. */
function progressOf({ writing, turns }) {
  if (writing) return writing.text ? "The answer is being written" : waitingText(writing.position) || "Waiting for the answer";
  const answer = turns.at(-1)?.answer;
  if (!answer) return "";
  const numTunes = partsOf(answer.text).filter((part) => part.kind === "tune").length;
  return `The answer is complete${numTunes ? `, with ${numTunes === 1 ? "a tune" : `${numTunes} tunes`}` : ""}`;
}
