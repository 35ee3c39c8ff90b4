/**
 * Verdicts on answers: what is kept is better than what is discarded of the same prompt, and the server
 * writes such pairs to its file of preferences.
 */
import { request } from "../api.js";

const KEY = "musicllm.visitor";

/** A name for whoever uses this tab, which says nothing about them. */
function visitor() {
  let name = sessionStorage.getItem(KEY);
  if (!name) {
    name = Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16)).join("");
    sessionStorage.setItem(KEY, name);
  }
  return name;
}

/**
 * Send a verdict.
 *
 * @param {{messages: object[], answer: string, verdict: "keep"|"discard"|null, writer: string}} judgement
 *     `messages`: the conversation that was answered; `writer`: the model, for people
 * @returns {Promise<string>} what became of it, for people
 * @throws {ServerError}
 */
export async function sendVerdict(judgement) {
  const response = await request("/page/verdicts", { body: { visitor: visitor(), ...judgement } });
  const { num_pairs: count } = await response.json();
  if (judgement.verdict === null) return "The verdict is taken back.";
  if (count > 0) return `Written: ${count === 1 ? "1 pair" : `${count} pairs`} with other answers to this request.`;
  const other = judgement.verdict === "keep" ? "discard" : "keep";
  return `Noted. A pair is written as soon as you ${other} another answer to the same request.`;
}
