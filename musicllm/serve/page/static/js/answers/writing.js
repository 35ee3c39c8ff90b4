/**
 * One answer that is written for a request: its text as it grows, and what became of it.
 *
 * Buttons that begin and stop it need keys of their own: one element that becomes a submit button while
 * its click is handled would begin the next answer.
 */
import { ServerError, streamChat } from "../api.js";
import { useEffect, useRef, useState } from "../../vendor/preact.js";

const SHOWN_EVERY_MS = 40;

/** An answer before it begins. `state`: idle, writing, done, stopped or failed. */
export const NO_ANSWER = { state: "idle", text: "", position: null, facts: null, error: null };

/**
 * Write an answer.
 *
 * @param {object} body of /v1/chat/completions
 * @param {{signal: AbortSignal, onChange: (answer: object) => void}} options `onChange` receives answers
 *     like NO_ANSWER; `position`: requests that come before this one
 * @returns {Promise<object>} the last of them
 */
export async function write(body, { signal, onChange }) {
  let answer = { ...NO_ANSWER, state: "writing" };
  let timer = null;
  const show = () => {
    timer = null;
    onChange(answer);
  };
  show();
  try {
    const facts = await streamChat(body, {
      signal,
      onWaiting: (position) => {
        answer = { ...answer, position };
        timer ??= setTimeout(show, SHOWN_EVERY_MS);
      },
      onPiece: (piece) => {
        answer = { ...answer, position: null, text: answer.text + piece };
        timer ??= setTimeout(show, SHOWN_EVERY_MS);
      },
    });
    answer = { ...answer, state: "done", position: null, facts };
  } catch (error) {
    const isStopped = error.name === "AbortError";
    answer = { ...answer, state: isStopped ? "stopped" : "failed", position: null, error: wordsOf(error) };
  }
  clearTimeout(timer);
  onChange(answer);
  return answer;
}

function wordsOf(error) {
  if (error.name === "AbortError") return null;
  if (!(error instanceof ServerError)) return `The page failed: ${error.message}`;
  return error.retryAfterS ? `${error.message} Try again in ${error.retryAfterS} seconds.` : error.message;
}

/** A state that this tab keeps over a reload; `null` where nothing was stored. */
export function useStored(key, first) {
  const [value, setValue] = useState(() => stored(key) ?? first);
  useEffect(() => {
    try {
      sessionStorage.setItem(key, JSON.stringify(value));
    } catch {
      sessionStorage.removeItem(key); // full: an old state would be wrong after a reload
    }
  }, [value]);
  return [value, setValue];
}

function stored(key) {
  try {
    return JSON.parse(sessionStorage.getItem(key));
  } catch {
    return null;
  }
}

/** An AbortController for what runs at present; it ends with the component. */
export function useAbort() {
  const abort = useRef(null);
  useEffect(() => () => abort.current?.abort(), []);
  return abort;
}
