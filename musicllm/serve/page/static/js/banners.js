/**
 * What concerns the whole page, above the tabs: a model that is loading or failed to load, a server
 * that does not answer, and the key that a server may demand.
 */
import { html, useEffect, useState } from "../vendor/preact.js";
import { setKey, whenKeyIsNeeded } from "./api.js";

/** @param {{settings: object|null, error: Error|null}} props `error`: why the settings could not be read */
export function Banners({ settings, error }) {
  const [isKeyNeeded, setKeyNeeded] = useState(false);
  useEffect(() => whenKeyIsNeeded(() => setKeyNeeded(true)), []);
  return html`<div class="banners" role="status">
    ${error && html`<p class="banner error">${error.message}</p>`}
    ${settings?.models.map((model) => html`<${ModelBanner} key=${model.name} model=${model} />`)}
    ${isKeyNeeded && html`<${KeyForm} onDone=${() => setKeyNeeded(false)} />`}
  </div>`;
}

function ModelBanner({ model }) {
  if (model.state === "loading") {
    return html`<p class="banner">
      <span class="spinner"></span>The model ${model.name} is still loading. You can already type.
    </p>`;
  }
  if (model.state === "failed") {
    return html`<p class="banner error">The model ${model.name} could not be loaded: ${model.error}</p>`;
  }
  return null;
}

function KeyForm({ onDone }) {
  const [key, setText] = useState("");
  const onSubmit = (event) => {
    event.preventDefault();
    setKey(key.trim());
    onDone();
  };
  return html`<div class="banner">
    <form onSubmit=${onSubmit}>
      <label for="server-key">This server demands a key; it is kept for this tab alone.</label>
      <input id="server-key" type="password" autocomplete="off" required value=${key}
        onInput=${(event) => setText(event.currentTarget.value)} />
      <button class="button primary">Use this key</button>
    </form>
  </div>`;
}
