/**
 * A blind comparison of two models, or of one with and without the grammar, on the same request. Who
 * wrote which side is shown after the vote, which is a line in the file of preferences.
 */
import { html } from "../../vendor/preact.js";
import { Answer } from "../answers/answer.js";
import { useAbort, useStored } from "../answers/writing.js";
import { NumberField, Switch, TextField } from "../chat/fields.js";
import { begin, contestsOf, LETTERS, vote, writeBoth } from "./contest.js";
import { Tally } from "./tally.js";

const KEY = "musicllm.compare.1";
const MAX_SEED = 2 ** 32 - 1;
const EXAMPLE = "Write a jig in D major, metre 6/8.";

function firstState({ defaults }) {
  const { temperature, max_new_tokens: longest, seed } = defaults;
  return { contest: null, prompt: EXAMPLE, grammar: false, temperature, longest, seed, comparison: null, tally: {}, error: null };
}

export function CompareTab({ settings }) {
  const [state, setState] = useStored(KEY, firstState(settings));
  const abort = useAbort();
  const change = (changes) => setState((before) => ({ ...before, ...changes(before) }));
  const contests = contestsOf(settings);
  const contest = contests.find((own) => own.name === state.contest) ?? contests[0];
  if (!contest) {
    return html`<p class="empty">This server has one model, whose engine does not follow the grammar. Start it with
      <code>inputs.second_model=…</code> to compare two models.</p>`;
  }
  const comparison = settled(state.comparison, abort.current);
  const isWriting = Boolean(abort.current);
  const isReady = settings.models.every((model) => model.state === "ready");
  const start = () => compare({ state, contest, change, abort });
  return html`<div class="arena">
    <form class="contest" aria-label="Comparison" onSubmit=${(event) => {
      event.preventDefault();
      if (!isWriting && isReady && state.prompt.trim()) start();
    }}>
      <${Setting} state=${state} settings=${settings} contest=${contest} contests=${contests} change=${change} />
      <div class="brief-end">
        ${isWriting
          ? html`<button key="stop" type="button" class="button" onClick=${() => abort.current?.abort()}>Stop</button>`
          : html`<button key="start" type="submit" class="button primary" disabled=${!isReady || !state.prompt.trim()}>
              ${comparison ? "Compare again" : "Compare"}</button>`}
        <span class="hint">${settings.preferences ? "Votes are written to the server's file of preferences." : "Votes are not written: the server was started without serve.preferences."}</span>
      </div>
      ${state.error && html`<p class="failure" role="alert">${state.error}</p>`}
    </form>
    ${comparison && html`<${Sides} comparison=${comparison} />
      <${Votes} comparison=${comparison} onVote=${(choice) => cast({ comparison, choice, change })} />`}
    <${Tally} tally=${state.tally} />
  </div>`;
}

/** A comparison that a reload found being written was broken off by it. */
function settled(comparison, running) {
  if (!comparison || running) return comparison;
  const answers = Object.fromEntries(
    LETTERS.map((letter) => {
      const answer = comparison.answers[letter];
      return [letter, answer.state === "writing" || answer.state === "idle" ? { ...answer, state: "stopped" } : answer];
    }),
  );
  return { ...comparison, answers };
}

async function compare({ state, contest, change, abort }) {
  const controller = new AbortController();
  abort.current = controller;
  const { prompt, seed, temperature, longest, grammar } = state;
  const messages = [{ role: "user", content: prompt.trim() }];
  change(() => ({ error: null, comparison: null, seed: seed >= MAX_SEED ? 0 : seed + 1 }));
  try {
    const comparison = { ...(await begin(contest, grammar)), messages };
    change(() => ({ comparison }));
    const onChange = (letter, answer) =>
      change(({ comparison: own }) => {
        if (own?.id !== comparison.id) return {};
        return { comparison: { ...own, answers: { ...own.answers, [letter]: answer } } };
      });
    await writeBoth(comparison, { messages, seed, temperature, max_tokens: longest }, { signal: controller.signal, onChange });
  } catch (failure) {
    change(() => ({ error: failure.message }));
  }
  if (abort.current === controller) abort.current = null;
  change(() => ({}));
}

async function cast({ comparison, choice, change }) {
  try {
    const { names, is_written: isWritten, reason } = await vote(comparison, comparison.messages, choice);
    change(({ comparison: own, tally }) => {
      const winner = choice === null ? null : names[choice];
      const counted = { ...tally };
      for (const name of Object.values(names)) counted[name] ??= 0;
      if (winner !== null) counted[winner] += 1;
      const voted = { ...own, names, choice, isWritten, reason };
      return { error: null, tally: counted, comparison: own?.id === comparison.id ? voted : own };
    });
  } catch (failure) {
    change(() => ({ error: failure.message }));
  }
}

function Setting({ state, settings, contest, contests, change }) {
  const most = settings.limits.max_new_tokens;
  const follow = settings.models.slice(0, 2).every((model) => model.follows_grammar);
  return html`
    <div class="field"><label for="compare-contest">What is compared</label>
      <select id="compare-contest" value=${contest.name} onChange=${(event) => {
        const name = event.currentTarget.value;
        change(() => ({ contest: name }));
      }}>${contests.map(({ name, title }) => html`<option key=${name} value=${name}>${title}</option>`)}</select>
    </div>
    <${TextField} label="Request" hint="Both sides get it, with the same settings and the same seed." rows=${3} value=${state.prompt}
      onValue=${(prompt) => change(() => ({ prompt }))} />
    ${contest.kind === "models" &&
    html`<${Switch} label="Both with the grammar" isOn=${state.grammar && follow} isDisabled=${!follow}
      hint=${follow ? "Only legal tunes in which every bar fits" : "One of the engines does not follow it"}
      onChange=${(grammar) => change(() => ({ grammar }))} />`}
    <details class="manner"><summary>Sampling and seed</summary>
      <div class="brief-fields">
        <${NumberField} label="Temperature" hint="0: always the most likely" value=${state.temperature} low=${0} high=${100}
          onValue=${(temperature) => change(() => ({ temperature }))} />
        <${NumberField} label="Seed" hint="grows by one with each comparison" value=${state.seed} low=${0} high=${MAX_SEED} isWhole
          onValue=${(seed) => change(() => ({ seed }))} />
        <${NumberField} label="Longest answer" hint=${`in tokens, at most ${most}`} value=${state.longest} low=${1} high=${most} isWhole
          onValue=${(longest) => change(() => ({ longest }))} />
      </div>
    </details>`;
}

function Sides({ comparison }) {
  const { answers, names, choice } = comparison;
  return html`<div class="sides">
    ${LETTERS.map((letter) => {
      const title = letter.toUpperCase();
      return html`<article key=${`${comparison.id}-${letter}`} class=${choice === letter ? "side chosen" : "side"}
        aria-label=${`Answer ${title}`}>
        <h3>${title}${names && html`<span class="who">${names[letter]}</span>`}</h3>
        <${Answer} answer=${answers[letter]} />
      </article>`;
    })}
  </div>`;
}

function Votes({ comparison, onVote }) {
  const { answers, names } = comparison;
  const states = LETTERS.map((letter) => answers[letter].state);
  if (names) {
    const { choice, isWritten, reason } = comparison;
    const voted = choice === null ? "You preferred neither." : `You preferred ${choice.toUpperCase()}: ${names[choice]}.`;
    return html`<p class="voted" role="status">${voted} ${isWritten ? "The pair is written." : `Nothing is written: ${reason}.`}</p>`;
  }
  if (states.some((state) => state === "stopped" || state === "failed")) {
    return html`<p class="note" role="status">One side was not written to its end, so there is nothing to vote on.</p>`;
  }
  const isOpen = states.every((state) => state === "done");
  const button = (choice, label) => html`<button type="button" class="button" disabled=${!isOpen}
    onClick=${() => onVote(choice)}>${label}</button>`;
  return html`<div class="votes" role="group" aria-label="Vote">
    ${button("a", "A is better")}${button(null, "Neither")}${button("b", "B is better")}
  </div>`;
}
