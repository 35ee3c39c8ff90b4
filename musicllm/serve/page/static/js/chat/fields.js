/**
 * Labelled fields of a form: numbers with their limits, texts, switches. A value that breaks a limit is
 * marked and said, and not taken.
 */
import { html, useEffect, useId, useState } from "../../vendor/preact.js";

/** @param {object} props `label`, `hint`, `value`, `low`, `high`, `isWhole`, `canBeEmpty` (null), `placeholder`, `onValue(number)` */
export function NumberField({ label, hint, value, low, high, isWhole, canBeEmpty = false, placeholder, onValue, children }) {
  const id = useId();
  const [text, setText] = useState(numberAsText(value));
  useEffect(() => {
    if (parsed(text, canBeEmpty) !== value) setText(numberAsText(value));
  }, [value]);
  const number = parsed(text, canBeEmpty);
  const problem = breach(number, { low, high, isWhole });
  const onInput = (event) => {
    setText(event.currentTarget.value);
    const next = parsed(event.currentTarget.value, canBeEmpty);
    if (!breach(next, { low, high, isWhole })) onValue(next);
  };
  return html`<div class="field">
    <label for=${id}>${label}</label>
    <div class="line">
      <input id=${id} inputmode=${isWhole ? "numeric" : "decimal"} autocomplete="off" value=${text} placeholder=${placeholder}
        aria-invalid=${Boolean(problem)} aria-describedby=${`${id}-hint`} onInput=${onInput} />
      ${children}
    </div>
    <p id=${`${id}-hint`} class=${problem ? "problem" : "hint"}>${problem || hint}</p>
  </div>`;
}

/**
 * A text, or what it means: what is typed stays as it is typed while it means the value.
 *
 * @param {object} props `label`, `hint`, `value`, `placeholder`, `rows` (0: one line), `onValue(value)`;
 *     `asText(value)` and `meaningOf(text)` of a value that is no text
 */
export function TextField({ label, hint, value, placeholder = "", rows = 0, onValue, asText = itself, meaningOf = itself }) {
  const id = useId();
  const [text, setText] = useState(asText(value));
  useEffect(() => {
    if (JSON.stringify(meaningOf(text)) !== JSON.stringify(value)) setText(asText(value));
  }, [value]);
  const onInput = (event) => {
    setText(event.currentTarget.value);
    onValue(meaningOf(event.currentTarget.value));
  };
  const shared = { id, value: text, placeholder, onInput, autocomplete: "off", "aria-describedby": `${id}-hint` };
  return html`<div class="field">
    <label for=${id}>${label}</label>
    ${rows ? html`<textarea ...${shared} rows=${rows} />` : html`<input ...${shared} />`}
    <p id=${`${id}-hint`} class="hint">${hint}</p>
  </div>`;
}

function itself(text) {
  return text;
}

/** @param {object} props `label`, `hint`, `isOn`, `isDisabled`, `onChange(isOn)` */
export function Switch({ label, hint, isOn, isDisabled = false, onChange }) {
  const id = useId();
  return html`<div class="field switch">
    <label for=${id}>
      <input id=${id} type="checkbox" role="switch" checked=${isOn} disabled=${isDisabled}
        aria-describedby=${`${id}-hint`} onChange=${(event) => onChange(event.currentTarget.checked)} />
      ${label}
    </label>
    <p id=${`${id}-hint`} class="hint">${hint}</p>
  </div>`;
}

function numberAsText(value) {
  return value === null ? "" : String(value);
}

function parsed(text, canBeEmpty) {
  if (!text.trim()) return canBeEmpty ? null : NaN;
  return Number(text.trim().replace(",", "."));
}

function breach(number, { low, high, isWhole }) {
  if (number === null) return "";
  const fits = Number.isFinite(number) && number >= low && number <= high && (!isWhole || Number.isInteger(number));
  return fits ? "" : `It must be a ${isWhole ? "whole " : ""}number from ${low} to ${high}.`;
}
