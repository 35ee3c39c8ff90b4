/**
 * A conversation without a page: its turns, its settings, and the answer that is being written.
 *
 * Nothing that was written is lost: an answer that is stopped keeps its text, and what is retried or
 * edited is kept in `replaced`. States are never changed, only replaced, so that what did not change
 * need not be drawn again.
 */
import { checkTunes, ServerError, streamChat } from "../api.js";
import { tunesInText } from "./parts.js";
import { requestOf } from "./request.js";
import { MAX_SEED, newAnswer, newTurn } from "./turns.js";

const SHOWN_EVERY_MS = 40;

export class Conversation {
  #listeners = new Set();
  #abort = null;

  /**
   * @param {object} state of `newState`, or one that was stored
   * @param {(body: object, options: object) => Promise<object>} write as `streamChat`
   */
  constructor(state, write = streamChat) {
    this.state = { ...state, writing: null };
    this.write = write;
  }

  /** Call a function after each change; return what ends this. */
  subscribe(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Add a message and have it answered. */
  say(message) {
    const { turns, replaced } = this.state;
    const unanswered = turns.filter((turn) => !turn.answer);
    this.set({
      turns: [...turns.filter((turn) => turn.answer), newTurn(message)],
      replaced: [...replaced, ...unanswered],
    });
    return this.#answerLast(null);
  }

  /** Answer the last message again; the earlier answer stays if there will be none. */
  retry() {
    const last = this.state.turns.at(-1);
    this.#replaceLast({ ...last, answer: null, error: null });
    return this.#answerLast(last.answer);
  }

  /** Replace the last message and have it answered. */
  edit(message) {
    const last = this.state.turns.at(-1);
    this.set({ replaced: [...this.state.replaced, last] });
    this.#replaceLast(newTurn(message));
    return this.#answerLast(null);
  }

  /** End the answer that is being written; what is there of it is kept. */
  stop() {
    this.#abort?.abort();
  }

  /** Begin anew with the same settings. */
  clear() {
    this.stop();
    this.set({ turns: [], replaced: [] });
  }

  /** Take the place of another conversation, with its settings. */
  load(state) {
    this.stop();
    this.set({ ...state, writing: null });
  }

  /** Keep the tune of a turn as the user changed it, or null as it was written; the model reads it so. */
  editTune(id, number, abc) {
    this.#changeAnswer(id, ({ edits: { [number]: _, ...others } }) => ({
      edits: abc === null ? others : { ...others, [number]: abc },
    }));
  }

  /** Ask the server for the tunes of an answer; without its word, ours holds. */
  async findTunes(id) {
    const { text } = this.state.turns.find((turn) => turn.id === id).answer;
    const tunes = await checkTunes(text).then((found) => tunesInText(text, found), () => null);
    if (!tunes) return;
    this.#changeAnswer(id, (answer) => {
      const isSame = answer.text === text && !Object.keys(answer.edits).length;
      return isSame ? { tunes } : {};
    });
  }

  #changeAnswer(id, changesOf) {
    const turns = this.state.turns.map((turn) => {
      if (turn.id !== id || !turn.answer) return turn;
      return { ...turn, answer: { ...turn.answer, ...changesOf(turn.answer) } };
    });
    this.set({ turns });
  }

  /** Replace parts of the state, such as `sampling` and `seed`. */
  set(changes) {
    this.state = { ...this.state, ...changes };
    this.#listeners.forEach((listener) => listener(this.state));
  }

  #replaceLast(turn) {
    this.set({ turns: [...this.state.turns.slice(0, -1), turn] });
  }

  /** Write the answer to the last message. `earlier`: the answer that it replaces; null for none. */
  async #answerLast(earlier) {
    const turn = this.state.turns.at(-1);
    const seed = this.state.seed;
    const body = requestOf(this.state);
    const abort = (this.#abort = new AbortController());
    this.set({ seed: seed >= MAX_SEED ? 0 : seed + 1, writing: { position: null, text: "", seed } });
    let text = "";
    let timer = null;
    const show = () => {
      timer = null;
      this.set({ writing: { position: null, text, seed } });
    };
    let answer = null;
    let failure = null;
    try {
      const facts = await this.write(body, {
        signal: abort.signal,
        onWaiting: (position) => this.set({ writing: { position, text, seed } }),
        onPiece: (piece) => {
          text += piece;
          timer ??= setTimeout(show, SHOWN_EVERY_MS);
        },
      });
      answer = newAnswer(text, seed, facts);
    } catch (error) {
      failure = error;
      if (text) answer = newAnswer(text, seed, { end: "stopped" });
    }
    clearTimeout(timer);
    if (this.state.turns.at(-1) !== turn) return this.#end(abort); // cleared, or another was loaded
    if (earlier && answer) {
      this.set({ replaced: [...this.state.replaced, { ...turn, answer: earlier }] });
    }
    this.#replaceLast({ ...turn, answer: answer ?? earlier, error: messageOf(failure, answer) });
    this.#end(abort);
  }

  #end(abort) {
    if (this.#abort !== abort) return;
    this.#abort = null;
    this.set({ writing: null });
  }
}

/** What is shown below a turn whose answer failed; null for none. */
function messageOf(failure, answer) {
  if (!failure) return null;
  if (failure.name === "AbortError") return answer ? null : "Stopped before the first word.";
  if (failure instanceof ServerError) {
    const again = failure.retryAfterS ? ` Try again in ${failure.retryAfterS} seconds.` : "";
    return `${failure.message}${again}`;
  }
  return `The page failed: ${failure.message}`;
}
