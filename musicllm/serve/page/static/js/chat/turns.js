/**
 * Turns of a conversation and their answers, as values.
 *
 * A turn is `{id, message, answer, error}`; `error` says why there is no answer, or no other one. An
 * answer is `{text, seed, end, numNewTokens, numPromptTokens, numLeftOut, tunes, edits}`: `tunes` has
 * `{start, stop, abc}` of each tune once the server was asked (null before), `edits` the tunes that the
 * user changed, by their number.
 */

/** As of `seed` of the configuration. */
export const MAX_SEED = 2 ** 32 - 1;

let count = 0;

/** Return a turn without an answer. */
export function newTurn(message) {
  count += 1;
  return { id: `${Date.now()}-${count}`, message, answer: null, error: null };
}

/**
 * Return an answer.
 *
 * @param {string} text as the model wrote it
 * @param {number} seed with which the same turns get the same answer
 * @param {object} facts as the server sends them: `end` is model, length, time or stopped
 */
export function newAnswer(text, seed, facts) {
  return {
    text,
    seed: facts.seed ?? seed,
    end: facts.end,
    numNewTokens: facts.num_new_tokens ?? null,
    numPromptTokens: facts.num_prompt_tokens ?? null,
    numLeftOut: facts.num_left_out ?? 0,
    tunes: null,
    edits: {},
  };
}
