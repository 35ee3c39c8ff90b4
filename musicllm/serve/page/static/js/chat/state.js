/**
 * The state of a conversation at its beginning, and the one that a reload brings back.
 */

/** Return the state of a new conversation with the settings of the server. */
export function newState(settings) {
  const { grammar, seed, ...sampling } = settings.defaults;
  return {
    model: settings.models[0].name,
    system: "",
    sampling,
    usesGrammar: grammar !== null,
    rules: settings.rules,
    seed,
    turns: [],
    replaced: [],
  };
}

/** Return a stored state for this server, which may have other models and rules than it was stored with. */
export function restoredState(state, settings) {
  const fresh = newState(settings);
  if (!state) return fresh;
  const isServed = settings.models.some((model) => model.name === state.model);
  return {
    ...fresh,
    ...state,
    model: isServed ? state.model : fresh.model,
    sampling: { ...fresh.sampling, ...state.sampling },
    rules: { ...fresh.rules, ...state.rules },
  };
}
