/**
 * Composing by form: a family of requests and its fields become a request in the words in which models
 * are trained, and rules of the grammar; the answers stand beside the form.
 */
import { html, useMemo, useRef } from "../../vendor/preact.js";
import { NumberField, Switch } from "../chat/fields.js";
import { useAbort, useStored, write, NO_ANSWER } from "../answers/writing.js";
import { firstBrief, ofFamily, useForm } from "./brief.js";
import { Fields } from "./form.js";
import { Result } from "./result.js";

const KEY = "musicllm.compose.1";
const MAX_RESULTS = 20;
const MAX_SEED = 2 ** 32 - 1;

function firstState({ models, defaults }) {
  const grammar = models[0].follows_grammar;
  const { temperature, max_new_tokens: longest, seed } = defaults;
  return { brief: firstBrief(grammar), grammar, wording: 0, model: models[0].name, temperature, longest, seed, results: [] };
}

/** The state of this tab, for the models that this server has. */
function useCompose(settings) {
  const [stored, setStored] = useStored(KEY, firstState(settings));
  const state = settings.models.some((own) => own.name === stored.model)
    ? stored
    : { ...stored, model: settings.models[0].name };
  return [state, (changes) => setStored((before) => ({ ...before, ...changes(before) }))];
}

export function ComposeTab({ settings }) {
  const [state, change] = useCompose(settings);
  const abort = useAbort();
  const model = settings.models.find((own) => own.name === state.model);
  const grammar = state.grammar && model.follows_grammar;
  const setBrief = (brief) => change(() => ({ brief }));
  const { form, error, isCurrent } = useForm(state.brief, { grammar, wording: state.wording }, setBrief);
  const results = useMemo(() => state.results.map(settled), [state.results]);
  const isWriting = state.results.some((result) => result.id === abort.current?.id);
  const onField = (name, value) => {
    const { [name]: old, ...rest } = state.brief;
    setBrief(value === null || value === "" ? rest : { ...rest, [name]: value });
  };
  const place = useRef(null);
  const begin = () => {
    place.current.scrollIntoView({ block: "start" }); // on a phone the answers are below the form
    compose({ state, grammar: form.grammar !== null, form, change, abort });
  };
  return html`<div class="studio">
    <form class="brief" aria-label="Brief" onSubmit=${(event) => {
      event.preventDefault();
      if (!isWriting && isCurrent && form?.request) begin();
    }}>
      <${Head} state=${state} settings=${settings} model=${model} change=${change} languages=${form?.languages ?? ["en"]} />
      ${form && html`<${Fields} offers=${form.offers} complaints=${form.complaints} brief=${state.brief} onField=${onField} />`}
      <${Manner} state=${state} settings=${settings} change=${change} />
      ${error && html`<p class="failure" role="alert">${error}</p>`}
      <${Preview} form=${form} onOther=${() => change((before) => ({ wording: before.wording + 1 }))} />
      <div class="brief-end">
        ${isWriting
          ? html`<button key="stop" type="button" class="button" onClick=${() => abort.current?.abort()}>Stop</button>`
          : html`<button key="start" type="submit" class="button primary"
              disabled=${!isCurrent || !form?.request || model.state !== "ready"}>Write</button>`}
        ${results.length > 0 && !isWriting &&
        html`<button type="button" class="button" onClick=${() => change(() => ({ results: [] }))}>Clear the answers</button>`}
      </div>
    </form>
    <section class="results" aria-label="Answers" ref=${place}>
      ${results.length === 0 && html`<p class="empty">What you have written stands here.</p>`}
      ${results.map((result) => html`<${Result} key=${result.id} result=${result} canJudge=${settings.preferences} />`)}
    </section>
  </div>`;

  /** A result that a reload found being written was broken off by it. */
  function settled(result) {
    if (result.answer.state !== "writing" || result.id === abort.current?.id) return result;
    return { ...result, answer: { ...result.answer, state: "stopped" } };
  }
}

async function compose({ state, grammar, form, change, abort }) {
  const id = `${Date.now()}-${state.seed}`;
  const controller = new AbortController();
  controller.id = id;
  abort.current = controller;
  const { brief, model, seed, temperature, longest } = state;
  const result = { id, brief, grammar, request: form.request, model, seed, answer: NO_ANSWER };
  const show = (answer) =>
    change((before) => ({ results: before.results.map((own) => (own.id === id ? { ...own, answer } : own)) }));
  change((before) => ({
    seed: seed >= MAX_SEED ? 0 : seed + 1,
    results: [result, ...before.results].slice(0, MAX_RESULTS),
  }));
  const body = { model, messages: [{ role: "user", content: form.request }], temperature, seed, max_tokens: longest };
  body.grammar = form.grammar;
  if (form.tune) body.tune = form.tune;
  await write(body, { signal: controller.signal, onChange: show });
  if (abort.current === controller) abort.current = null;
  change(() => ({}));
}

function Head({ state, settings, model, change, languages }) {
  const names = useMemo(() => new Intl.DisplayNames(["en"], { type: "language" }), []);
  const groups = [
    ["Write a tune", settings.families.filter((family) => family.answer !== "words")],
    ["Ask about a tune", settings.families.filter((family) => family.answer === "words")],
  ];
  const onTask = (event) => {
    const task = event.currentTarget.value;
    change((before) => ({ brief: ofFamily(before.brief, task) }));
  };
  const onLanguage = (event) => {
    const language = event.currentTarget.value;
    change((before) => ({ brief: { ...before.brief, language } }));
  };
  const isQuestion = groups[1][1].some((family) => family.task === state.brief.task);
  const hint = isQuestion ? "Answers to questions are words, written without it" : grammarHint(model);
  const canHaveGrammar = model.follows_grammar && !isQuestion;
  return html`
    <div class="field"><label for="compose-task">Task</label>
      <select id="compose-task" value=${state.brief.task} onChange=${onTask}>
        ${groups.map(
          ([title, families]) => html`<optgroup key=${title} label=${title}>
            ${families.map((family) => html`<option key=${family.task} value=${family.task}>${family.title}</option>`)}
          </optgroup>`,
        )}
      </select>
    </div>
    ${settings.models.length > 1 &&
    html`<div class="field"><label for="compose-model">Model</label>
      <select id="compose-model" value=${model.name} onChange=${(event) => {
        const name = event.currentTarget.value;
        change(() => ({ model: name }));
      }}>${settings.models.map(({ name }) => html`<option key=${name} value=${name}>${name}</option>`)}</select>
    </div>`}
    <div class="field"><label for="compose-language">Language of the request</label>
      <select id="compose-language" value=${state.brief.language} onChange=${onLanguage}>
        ${languages.map((code) => html`<option key=${code} value=${code}>${names.of(code)}</option>`)}
      </select>
    </div>
    <${Switch} label="Grammar" isOn=${state.grammar && canHaveGrammar} isDisabled=${!canHaveGrammar} hint=${hint}
      onChange=${(grammar) => change(() => ({ grammar }))} />
  `;
}

function grammarHint(model) {
  if (!model.follows_grammar) return "The engine of this model does not follow it";
  return "Only legal tunes in which every bar fits, and with these fields";
}

function Manner({ state, settings, change }) {
  const most = settings.limits.max_new_tokens;
  return html`<details class="manner"><summary>Sampling and seed</summary>
    <div class="brief-fields">
      <${NumberField} label="Temperature" hint="0: always the most likely" value=${state.temperature} low=${0} high=${100}
        onValue=${(temperature) => change(() => ({ temperature }))} />
      <${NumberField} label="Seed" hint="grows by one with each answer" value=${state.seed} low=${0} high=${MAX_SEED} isWhole
        onValue=${(seed) => change(() => ({ seed }))} />
      <${NumberField} label="Longest answer" hint=${`in tokens, at most ${most}`} value=${state.longest} low=${1} high=${most} isWhole
        onValue=${(longest) => change(() => ({ longest }))} />
    </div>
  </details>`;
}

function Preview({ form, onOther }) {
  return html`<div class="preview">
    <div class="preview-head"><h3>What the model is asked</h3>
      <button type="button" class="button" disabled=${!form?.request} onClick=${onOther}>Other words</button></div>
    <p class="words" aria-live="polite">${form?.request ?? "Fill in what is needed."}</p>
  </div>`;
}
