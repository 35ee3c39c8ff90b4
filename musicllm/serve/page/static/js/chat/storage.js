/**
 * Keeps a conversation over a reload, for this tab alone.
 *
 * `sessionStorage` belongs to one tab and holds a few MB; where it is full, the conversation goes on
 * and the caller says that a reload would lose it.
 */
import { newAnswer } from "./turns.js";

const KEY = "musicllm.chat.1";

/** Return the state that was stored in this tab; null for none. */
export function stored() {
  try {
    return JSON.parse(sessionStorage.getItem(KEY));
  } catch {
    return null;
  }
}

/** Store a state; return whether it could be kept. An answer that is being written is kept as stopped. */
export function store({ writing, ...state }) {
  const last = state.turns.at(-1);
  if (writing?.text) {
    const answer = newAnswer(writing.text, writing.seed, { end: "stopped" });
    state.turns = [...state.turns.slice(0, -1), { ...last, answer }];
  } else if (writing) {
    const error = "The page was left before the answer began.";
    state.turns = [...state.turns.slice(0, -1), { ...last, error }];
  }
  try {
    sessionStorage.setItem(KEY, JSON.stringify(state));
    return true;
  } catch {
    return false;
  }
}
