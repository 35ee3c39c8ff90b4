/**
 * The request for an answer: what of a conversation the model sees, and how it is sampled.
 */
import { textOf } from "./parts.js";

/** Return the body of /v1/chat/completions for the last message of a state of a conversation. */
export function requestOf(state) {
  const { max_new_tokens, ...sampling } = state.sampling;
  const body = {
    model: state.model,
    messages: messagesOf(state),
    max_tokens: max_new_tokens,
    ...sampling,
    seed: state.seed,
    grammar: state.usesGrammar ? "abc" : null,
    long_conversation: "drop_oldest",
  };
  if (state.usesGrammar) body.tune = state.rules;
  return body;
}

/** Return system prompt, turns with an answer, and the last message. Empty answers are not shown. */
export function messagesOf({ system, turns }) {
  const messages = system.trim() ? [{ role: "system", content: system }] : [];
  for (const { message, answer } of turns.slice(0, -1)) {
    if (!answer?.text.trim()) continue;
    messages.push({ role: "user", content: message });
    messages.push({ role: "assistant", content: textOf(answer) });
  }
  messages.push({ role: "user", content: turns.at(-1).message });
  return messages;
}
