/**
 * The brief of the tab for composing, and what the server says to it: fields, faults, the request.
 */
import { request } from "../api.js";
import { useEffect, useState } from "../../vendor/preact.js";

const PAUSE_MS = 150;
const FIRST = { task: "metadata_to_tune", language: "en", rhythm: "jig", key: "D", metre: "6/8", num_bars: 16, form: "AABB" };

/** The brief that a new tab begins with, for this server. */
export function firstBrief(usesGrammar) {
  const { num_bars, form, ...rest } = FIRST;
  return usesGrammar ? FIRST : rest;
}

/** Return a brief of another family with the fields that it shares with this one. */
export function ofFamily(brief, task) {
  return { ...brief, task };
}

/** Return a brief without the fields that its family does not take. */
function pruned(brief, offers) {
  const names = new Set(["task", "language", ...offers.map((offer) => offer.name)]);
  return Object.fromEntries(Object.entries(brief).filter(([name]) => names.has(name)));
}

/**
 * What the server says to a brief; renewed after each change, `null` before the first answer.
 *
 * @param {object} brief
 * @param {{grammar: boolean, wording: number}} manner
 * @param {(brief: object) => void} onBrief receives the brief without fields that its family does not take
 * @returns {{form: object|null, error: string|null, isCurrent: boolean}}
 */
export function useForm(brief, { grammar, wording }, onBrief) {
  const [result, setResult] = useState({ form: null, error: null, of: null });
  const key = JSON.stringify([brief, grammar, wording]);
  useEffect(() => {
    const abort = new AbortController();
    const timer = setTimeout(async () => {
      try {
        const body = { brief, grammar, wording };
        const form = await (await request("/page/compose", { body, signal: abort.signal })).json();
        const own = pruned(brief, form.offers);
        if (Object.keys(own).length < Object.keys(brief).length) onBrief(own);
        else setResult({ form, error: null, of: key });
      } catch (error) {
        if (error.name !== "AbortError") setResult((before) => ({ ...before, error: error.message, of: key }));
      }
    }, result.form ? PAUSE_MS : 0);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [key]);
  return { form: result.form, error: result.error, isCurrent: result.of === key };
}

/** Return which fields of a brief an answer has: `met` and `right_answer` of /page/compose/met. */
export async function compared(brief, grammar, answer) {
  return (await request("/page/compose/met", { body: { brief, grammar, answer } })).json();
}
