/**
 * A blind comparison: begun at the server, which draws the sides and tells them only after the vote.
 */
import { request } from "../api.js";
import { NO_ANSWER, write } from "../answers/writing.js";

export const LETTERS = ["a", "b"];

/** What this server can compare: `{kind, title, model?}` in the order in which they are offered. */
export function contestsOf({ models }) {
  const contests = [];
  if (models.length > 1) contests.push({ name: "models", kind: "models", title: "Two models" });
  for (const { name, follows_grammar: follows } of models) {
    if (!follows) continue;
    const title = models.length > 1 ? `${name} with and without the grammar` : "With and without the grammar";
    contests.push({ name: `grammar:${name}`, kind: "grammar", model: name, title });
  }
  return contests;
}

/** Begin a comparison; `grammar`: of two models, whether both are written under it. */
export async function begin({ kind, model = null }, grammar) {
  const body = { kind, model, grammar: kind === "models" && grammar, tune: null };
  const { id, sides } = await (await request("/page/comparisons", { body })).json();
  return { id, sides, answers: { a: NO_ANSWER, b: NO_ANSWER }, names: null, choice: undefined, reason: "" };
}

/**
 * Write both sides at a time.
 *
 * @param {{sides: object}} comparison
 * @param {object} body of /v1/chat/completions without `model`: both sides get the same
 * @param {{signal: AbortSignal, onChange: (letter: string, answer: object) => void}} options
 */
export async function writeBoth({ sides }, body, { signal, onChange }) {
  await Promise.all(
    LETTERS.map((letter) =>
      write({ ...body, model: sides[letter] }, { signal, onChange: (answer) => onChange(letter, answer) }),
    ),
  );
}

/**
 * Vote, which ends a comparison.
 *
 * @param {"a"|"b"|null} choice null: neither
 * @returns {Promise<{names: object, is_written: boolean, reason: string}>}
 */
export async function vote({ id, answers }, messages, choice) {
  const texts = Object.fromEntries(LETTERS.map((letter) => [letter, answers[letter].text]));
  const body = { choice, messages, answers: texts };
  return (await request(`/page/comparisons/${id}/vote`, { body })).json();
}
