/**
 * The fields of a brief, as the server offers them: a value that contradicts another is not there.
 */
import { html, useId } from "../../vendor/preact.js";

/**
 * @param {object} props `offers` and `complaints` of /page/compose, the `brief`, and `onField(name, value)`
 */
export function Fields({ offers, complaints, brief, onField }) {
  return html`<div class="brief-fields">
    ${offers.map(
      (offer) => html`<${Field} key=${offer.name} offer=${offer} value=${brief[offer.name] ?? null}
        complaints=${complaints.filter((one) => one.field === offer.name)}
        onValue=${(value) => onField(offer.name, value)} />`,
    )}
  </div>`;
}

function Field({ offer, value, complaints, onValue }) {
  const id = useId();
  const wrong = complaints.find((one) => !one.is_missing);
  const missing = complaints.find((one) => one.is_missing);
  const hint = wrong ? `It ${wrong.text}.` : missing && missing.text !== "is missing" ? `It ${missing.text}.` : offer.hint;
  const shared = { id, "aria-invalid": Boolean(wrong), "aria-describedby": `${id}-hint` };
  return html`<div class=${`field ${offer.kind}`}>
    <label for=${id}>${offer.label}${" "}
      ${offer.is_needed && html`<span class="needed">needed</span>`}
      ${offer.by === "grammar" && html`<span class="kept" title="The words do not say it; the grammar lets the model write nothing else">by grammar</span>`}
    </label>
    ${offer.kind === "choice"
      ? html`<${Choice} offer=${offer} value=${value} shared=${shared} onValue=${onValue} />`
      : html`<${Text} offer=${offer} value=${value} shared=${shared} onValue=${onValue} />`}
    <p id=${`${id}-hint`} class=${wrong ? "problem" : "hint"}>${hint}</p>
  </div>`;
}

function Choice({ offer, value, shared, onValue }) {
  const groups = [...new Set(offer.choices.map((choice) => choice.group))];
  const optionOf = (choice) =>
    html`<option key=${choice.value} value=${choice.value} selected=${choice.value === value}>${choice.label}</option>`;
  const isOffered = value === null || offer.choices.some((choice) => choice.value === value);
  const onChange = (event) => {
    const chosen = offer.choices.find((choice) => String(choice.value) === event.currentTarget.value);
    onValue(chosen ? chosen.value : null);
  };
  return html`<select ...${shared} disabled=${!offer.choices.length && value === null} onChange=${onChange}>
    <option value="" selected=${value === null}>${offer.choices.length ? "any" : "nothing fits"}</option>
    ${!isOffered && html`<option value=${value} selected>${value} (contradicts)</option>`}
    ${groups.map((group) => {
      const options = offer.choices.filter((choice) => choice.group === group).map(optionOf);
      return group ? html`<optgroup key=${group} label=${group}>${options}</optgroup>` : options;
    })}
  </select>`;
}

function Text({ offer, value, shared, onValue }) {
  const onInput = (event) => onValue(event.currentTarget.value);
  const text = { ...shared, class: "abc", value: value ?? "", autocomplete: "off", spellcheck: false, onInput };
  return offer.kind === "line" ? html`<input type="text" ...${text} />` : html`<textarea rows="8" ...${text} />`;
}
