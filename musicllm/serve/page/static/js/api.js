/**
 * The server's API as functions: settings, streamed answers, and everything about one tune.
 *
 * Every failure is a ServerError whose message can be shown. The key that a server may demand is
 * kept for this tab; `whenKeyIsNeeded` tells when the server refuses for want of it.
 */
import { eventsOf } from "./sse.js";

const KEY = "musicllm.key";
const listeners = new Set();

/** A request that failed; `status` is 0 where no answer came. */
export class ServerError extends Error {
  /**
   * @param {string} message for people
   * @param {{status?: number, param?: string|null, retryAfterS?: number}} details `param`: the field at fault
   */
  constructor(message, { status = 0, param = null, retryAfterS = 0 } = {}) {
    super(message);
    this.name = "ServerError";
    this.status = status;
    this.param = param;
    this.retryAfterS = retryAfterS;
  }
}

/** Use a key from now on; an empty one is forgotten. */
export function setKey(key) {
  if (key) sessionStorage.setItem(KEY, key);
  else sessionStorage.removeItem(KEY);
}

/** Call a function whenever the server demands a key; return what ends this. */
export function whenKeyIsNeeded(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/**
 * Send a request and return its answer if it is a success.
 *
 * @param {string} path such as /v1/tunes/check
 * @param {{body?: object, signal?: AbortSignal}} options `body` is posted as JSON
 * @returns {Promise<Response>}
 * @throws {ServerError} the server cannot be reached or refuses; an AbortError if `signal` ended it
 */
export async function request(path, { body, signal } = {}) {
  const headers = {};
  const key = sessionStorage.getItem(KEY);
  if (key) headers.Authorization = `Bearer ${key}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const options = { headers, signal, method: body === undefined ? "GET" : "POST" };
  if (body !== undefined) options.body = JSON.stringify(body);
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ServerError("The server cannot be reached; is it still running?");
  }
  if (!response.ok) throw await errorOf(response);
  return response;
}

async function errorOf(response) {
  const error = await response.json().then((answer) => answer.error, () => null);
  const message = error?.message ?? `The server answers ${response.status}`;
  if (response.status === 401) listeners.forEach((listener) => listener());
  const retryAfterS = Number(response.headers.get("Retry-After")) || 0;
  return new ServerError(message, { status: response.status, param: error?.param, retryAfterS });
}

/** Return what the page has to know (`/page/settings.json`). */
export async function readSettings() {
  return (await request("/page/settings.json")).json();
}

/**
 * Write an answer as a stream.
 *
 * @param {object} body of /v1/chat/completions, without `stream`
 * @param {{signal?: AbortSignal, onWaiting?: (position: number) => void, onPiece?: (text: string) => void}} options
 *     `position`: requests that come before this one
 * @returns {Promise<object>} `end`, `seed`, `num_left_out`, `num_prompt_tokens`, `num_new_tokens` (null: unknown)
 * @throws {ServerError} also if the stream breaks off
 */
export async function streamChat(body, { signal, onWaiting = () => {}, onPiece = () => {} } = {}) {
  const whole = { ...body, stream: true, stream_options: { include_usage: true } };
  const response = await request("/v1/chat/completions", { body: whole, signal });
  const facts = { num_new_tokens: null };
  try {
    for await (const { data, comment } of eventsOf(response)) {
      if (comment?.startsWith("waiting ")) onWaiting(Number(comment.slice(8)));
      if (data === undefined) continue;
      if (data === "[DONE]") break;
      const chunk = JSON.parse(data);
      if (chunk.error) throw new ServerError(chunk.error.message, { status: chunk.error.code });
      const text = chunk.choices?.[0]?.delta?.content;
      if (text) onPiece(text);
      if (chunk.musicllm) Object.assign(facts, chunk.musicllm);
      if (chunk.usage) facts.num_new_tokens = chunk.usage.completion_tokens;
    }
  } catch (error) {
    if (error.name === "AbortError" || error instanceof ServerError) throw error;
    throw new ServerError("The connection to the server broke off in the middle of the answer.");
  }
  if (!facts.end) throw new ServerError("The server ended the answer before it was complete.");
  return facts;
}

/**
 * Return the tunes of a text with their checks.
 *
 * @param {string} abc a tune, or any text with tunes in it
 * @returns {Promise<object[]>} `tunes` of /v1/tunes/check; `start` and `stop` count code points of `abc`
 */
export async function checkTunes(abc, { signal } = {}) {
  return (await (await request("/v1/tunes/check", { body: { abc }, signal })).json()).tunes;
}
