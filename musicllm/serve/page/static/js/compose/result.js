/**
 * What was written for a brief: the request, the answer, and which of its fields the tune has.
 */
import { html, useEffect, useState } from "../../vendor/preact.js";
import { Answer } from "../answers/answer.js";
import { sendVerdict } from "../answers/verdicts.js";
import { compared } from "./brief.js";

/** @param {object} props a `result` of the tab, `canJudge`: the server writes preferences */
export function Result({ result, canJudge }) {
  const { brief, grammar, request, answer, model } = result;
  const [note, setNote] = useState("");
  const judge = (verdict) => {
    const judgement = { messages: [{ role: "user", content: request }], answer: answer.text, verdict };
    sendVerdict({ ...judgement, writer: grammar ? `${model}, with the grammar` : model }).then(
      setNote,
      (error) => setNote(`Not written: ${error.message}`),
    );
  };
  return html`<article class="result" aria-label="Answer">
    <details class="asked"><summary>Request</summary><p class="words">${request}</p></details>
    <${Answer} answer=${answer} onVerdict=${canJudge ? judge : undefined} />
    ${note && html`<p class="note" role="status">${note}</p>`}
    ${answer.state === "done" && html`<${Compared} brief=${brief} grammar=${grammar} text=${answer.text} />`}
    <p class="origin">${factsOf(result)}</p>
  </article>`;
}

function factsOf({ model, grammar, answer, seed }) {
  const facts = [model, grammar ? "with the grammar" : "without the grammar", `seed ${seed}`];
  const count = answer.facts?.num_new_tokens;
  if (count) facts.push(count === 1 ? "1 token" : `${count} tokens`);
  return facts.join(" · ");
}

/** Each field of the brief beside the tune; of a question, the answer that is computed. */
function Compared({ brief, grammar, text }) {
  const [result, setResult] = useState(null);
  useEffect(() => {
    let isGone = false;
    compared(brief, grammar, text).then(
      (answer) => !isGone && setResult(answer),
      (error) => !isGone && setResult({ met: [], right_answer: null, error: error.message }),
    );
    return () => {
      isGone = true;
    };
  }, [text]);
  if (!result) return null;
  return html`
    ${result.error && html`<p class="note">Not compared with the brief: ${result.error}</p>`}
    ${result.right_answer !== null &&
    html`<p class="computed">Computed from the tune: <strong>${result.right_answer}</strong></p>`}
    ${result.met.length > 0 &&
    html`<ul class="met" aria-label="As in the brief">
      ${result.met.map(
        ({ field, label, value, is_met: isMet }) => html`<li key=${field} class=${isMet ? "is-met" : "is-missed"}>
          <span aria-hidden="true">${isMet ? "✓" : "✗"}</span> ${label}: ${value}
          <span class="unseen">${isMet ? ", as in the brief" : ", not as in the brief"}</span>
        </li>`,
      )}
    </ul>`}
  `;
}
