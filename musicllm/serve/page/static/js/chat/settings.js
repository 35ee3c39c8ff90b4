/**
 * The settings of a conversation: model, grammar and rules of tunes, sampling, seed, system prompt.
 *
 * Limits and meanings are the server's (`fields`, `rule_meanings`); a change holds for the next answer.
 */
import { html, useEffect, useRef } from "../../vendor/preact.js";
import { Icon } from "../icons.js";
import { NumberField, Switch, TextField } from "./fields.js";
import { newState } from "./state.js";
import { MAX_SEED } from "./turns.js";

const LABELS = {
  temperature: "Temperature",
  top_p: "Top p",
  top_k: "Top k",
  repetition_penalty: "Repetition penalty",
  max_new_tokens: "Longest answer",
};
const RULES = { key: "Key", metre: "Metre", form: "Form", lowest: "Lowest note", highest: "Highest note" };
const MAX_BARS = 200;

/** The drawer of the settings; `state` and `conversation`, and `onClose()`. */
export function SettingsDrawer({ state, conversation, settings, isOpen, onClose }) {
  const dialog = useRef(null);
  useEffect(() => {
    if (isOpen) dialog.current.showModal();
    else dialog.current.close();
  }, [isOpen]);
  const onClick = (event) => event.target === dialog.current && onClose();
  return html`<dialog class="drawer" ref=${dialog} aria-label="Settings" onClose=${onClose} onClick=${onClick}>
    ${isOpen &&
    html`<div class="drawer-content">
      <header>
        <h2>Settings</h2>
        <button class="icon-button" onClick=${onClose} title="Close" aria-label="Close"><${Icon} name="close" /></button>
      </header>
      <p class="hint">They hold from the next answer on, in this tab.</p>
      <${Models} state=${state} conversation=${conversation} settings=${settings} />
      <${Tunes} state=${state} conversation=${conversation} settings=${settings} />
      <${Sampling} state=${state} conversation=${conversation} settings=${settings} />
      <${TextField} label="System prompt" rows=${3} value=${state.system} placeholder="None"
        hint="What the model is told before the conversation; some models take none."
        onValue=${(system) => conversation.set({ system })} />
      <button class="button" onClick=${() => conversation.set(defaultsOf(settings))}>
        As the server was started</button>
    </div>`}
  </dialog>`;
}

function defaultsOf(settings) {
  const { turns, replaced, ...defaults } = newState(settings);
  return defaults;
}

function Models({ state, conversation, settings }) {
  if (settings.models.length < 2) return null;
  return html`<div class="field">
    <label for="chat-model">Model</label>
    <select id="chat-model" value=${state.model}
      onChange=${(event) => conversation.set({ model: event.currentTarget.value })}>
      ${settings.models.map(({ name }) => html`<option key=${name}>${name}</option>`)}
    </select>
  </div>`;
}

function Tunes({ state, conversation, settings }) {
  const { rules } = state;
  const follows = settings.models.find((model) => model.name === state.model).follows_grammar;
  const set = (name, value) => conversation.set({ rules: { ...rules, [name]: value } });
  const meaning = (name) => settings.rule_meanings[name].split("; []")[0];
  return html`
    <${Switch} label="Grammar" isOn=${state.usesGrammar} isDisabled=${!follows && !state.usesGrammar}
      onChange=${(usesGrammar) => conversation.set({ usesGrammar })}
      hint=${follows
        ? "Only legal tunes, in which every bar fits; words stay free."
        : "This model's engine does not follow the grammar."} />
    ${state.usesGrammar &&
    html`<fieldset><legend>Every tune has</legend>
      ${Object.entries(RULES).map(
        ([name, label]) => html`<${TextField} key=${name} label=${label} value=${rules[name]}
          placeholder="Any" hint=${meaning(name)} onValue=${(value) => set(name, value)}
          asText=${(value) => value ?? ""} meaningOf=${(text) => text.trim() || null} />`,
      )}
      <${NumberField} label="Bars" value=${rules.num_bars} low=${1} high=${MAX_BARS} isWhole=${true}
        canBeEmpty=${true} placeholder="Any" hint=${meaning("num_bars")} onValue=${(value) => set("num_bars", value)} />
      <${TextField} label="Chords" value=${rules.chords} placeholder="Any" hint=${meaning("chords")}
        onValue=${(value) => set("chords", value)} asText=${(value) => value.join(" ")}
        meaningOf=${(text) => text.split(/[\s,]+/).filter(Boolean)} />
      <${Switch} label="An answer needs a tune" isOn=${rules.required} hint=${meaning("required")}
        onChange=${(isOn) => set("required", isOn)} />
    </fieldset>`}
  `;
}

function Sampling({ state, conversation, settings }) {
  const set = (name, value) => conversation.set({ sampling: { ...state.sampling, [name]: value } });
  return html`
    ${Object.entries(settings.fields).map(
      ([name, { low, high, is_whole, meaning }]) => html`<${NumberField} key=${name} label=${LABELS[name]}
        value=${state.sampling[name]} low=${low} isWhole=${is_whole} hint=${meaning}
        high=${name === "max_new_tokens" ? settings.limits.max_new_tokens : high}
        onValue=${(value) => set(name, value)} />`,
    )}
    <${NumberField} label="Seed of the next answer" value=${state.seed} low=${0} high=${MAX_SEED} isWhole=${true}
      hint="The same turns with the same seed get the same answer; each answer takes the next number."
      onValue=${(seed) => conversation.set({ seed })}>
      <button class="icon-button" title="Any seed" aria-label="Any seed"
        onClick=${() => conversation.set({ seed: Math.floor(Math.random() * (MAX_SEED + 1)) })}>
        <${Icon} name="dice" /></button>
    <//>
  `;
}

/** Return the settings in a few words, for the button that opens them. */
export function settingsInWords({ usesGrammar, sampling }) {
  return `${usesGrammar ? "Grammar" : "Free text"} · ${sampling.temperature}`;
}
