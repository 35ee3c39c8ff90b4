/**
 * A conversation as JSON, to be saved and opened again: the format of `recipe=chat`.
 *
 * `messages` is what training reads: roles and contents, with the system prompt first. An answer also
 * has its `seed`, its `end` and its length; `replaced` holds what was retried or edited. A tune that
 * the user changed is saved as changed, and the answer as the model wrote it is in `replaced`.
 */
import { textOf } from "./parts.js";
import { MAX_SEED, newAnswer, newTurn } from "./turns.js";

const FORMAT = "musicllm conversation 1";
const ENDS = ["model", "length", "time", "stopped"];

/** Return what is saved of a state of a conversation. */
export function recordOf(state) {
  const system = state.system.trim() ? [{ role: "system", content: state.system }] : [];
  const originals = state.turns.filter(({ answer }) => answer && textOf(answer) !== answer.text);
  const turns = state.turns.flatMap((turn) => messagesOf(turn, textOf));
  return {
    format: FORMAT,
    model: state.model,
    settings: state.sampling,
    rules: state.usesGrammar ? state.rules : null,
    spare_rules: state.rules,
    seed: state.seed,
    messages: [...system, ...turns],
    replaced: [...state.replaced, ...originals].flatMap((turn) => messagesOf(turn, (answer) => answer.text)),
  };
}

function messagesOf({ message, answer }, contentOf) {
  const messages = [{ role: "user", content: message }];
  if (answer) {
    const { seed, end, numNewTokens } = answer;
    const content = contentOf(answer);
    messages.push({ role: "assistant", content, seed, end, num_new_tokens: numNewTokens });
  }
  return messages;
}

/**
 * Return the state that a record holds, for the models of this server.
 *
 * @param {string} text of a file
 * @param {object} settings of /page/settings.json
 * @throws {Error} its message says what is wrong with which key
 */
export function stateOfRecord(text, settings) {
  const record = parsed(text);
  const messages = listAt(record, "messages");
  const system = messages[0]?.role === "system" ? textAt(messages[0], "content", "messages[0]") : "";
  const turns = turnsOf(system ? messages.slice(1) : messages, "messages", system ? 1 : 0);
  turns.slice(0, -1).forEach((turn) => need(turn.answer, "messages: only the last message may lack an answer"));
  const names = settings.models.map((model) => model.name);
  return {
    model: names.includes(record.model) ? record.model : names[0],
    system,
    sampling: samplingOf(record, settings),
    usesGrammar: record.rules !== null,
    rules: rulesOf(record, settings),
    seed: wholeAt(record, "seed", "", MAX_SEED),
    turns,
    replaced: turnsOf(listAt(record, "replaced"), "replaced", 0),
  };
}

function parsed(text) {
  let record = null;
  try {
    record = JSON.parse(text);
  } catch {
    throw new Error("the file is no saved conversation: it is not JSON");
  }
  need(record?.format === FORMAT, `the file is no saved conversation: it lacks "format": "${FORMAT}"`);
  return record;
}

function turnsOf(messages, key, first) {
  const turns = [];
  messages.forEach((message, number) => {
    const place = `${key}[${first + number}]`;
    const content = textAt(message, "content", place);
    const last = turns.at(-1);
    if (message.role === "user") {
      turns.push(newTurn(content));
      return;
    }
    need(message.role === "assistant", `${place}.role: it must be user or assistant`);
    need(last && !last.answer, `${place}.role: it must follow a user message`);
    last.answer = answerAt(message, content, place);
  });
  return turns;
}

function answerAt(message, content, place) {
  need(ENDS.includes(message.end), `${place}.end: it must be one of ${ENDS.join(", ")}`);
  const hasLength = message.num_new_tokens !== null && message.num_new_tokens !== undefined;
  const num_new_tokens = hasLength ? wholeAt(message, "num_new_tokens", place, Infinity) : null;
  return newAnswer(content, wholeAt(message, "seed", place, MAX_SEED), { end: message.end, num_new_tokens });
}

function samplingOf(record, settings) {
  const sampling = {};
  for (const [name, { low, high }] of Object.entries(settings.fields)) {
    const value = record.settings?.[name];
    need(typeof value === "number" && value >= low && value <= high,
      `settings.${name}: it must be a number from ${low} to ${high}`);
    sampling[name] = value;
  }
  return sampling;
}

/** Rules as this server knows them; their values are the server's to check. */
function rulesOf(record, settings) {
  const rules = record.spare_rules;
  need(rules && typeof rules === "object", "spare_rules: it must be an object");
  for (const name of Object.keys(rules)) {
    need(name in settings.rules, `spare_rules.${name}: it is no rule of a tune`);
  }
  return { ...settings.rules, ...rules };
}

function need(holds, message) {
  if (!holds) throw new Error(message);
}

function listAt(record, key) {
  need(Array.isArray(record[key]), `${key}: it must be a list`);
  return record[key];
}

function textAt(record, key, place) {
  need(typeof record?.[key] === "string", `${place}.${key}: it must be text`);
  return record[key];
}

function wholeAt(record, key, place, high) {
  const value = record[key];
  const name = place ? `${place}.${key}` : key;
  need(Number.isInteger(value) && value >= 0 && value <= high, `${name}: it must be a whole number from 0`);
  return value;
}
