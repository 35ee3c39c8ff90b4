/**
 * Saves a conversation as a file of the user, and opens one.
 */
import { recordOf, stateOfRecord } from "./record.js";

/** Offer a conversation as a download: the format that `recipe=chat` saves and loads. */
export function save(state) {
  const text = JSON.stringify(recordOf(state), null, 2);
  const url = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  const link = document.createElement("a");
  link.href = url;
  link.download = `conversation-${new Date().toISOString().slice(0, 19).replaceAll(":", "-")}.json`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/**
 * Let the user choose a file, and call `onState(state)` with what it holds, or `onProblem(message)`.
 *
 * @param {object} settings of /page/settings.json
 */
export function open(settings, { onState, onProblem }) {
  const field = document.createElement("input");
  field.type = "file";
  field.accept = ".json,application/json";
  field.addEventListener("change", async () => {
    const [file] = field.files;
    try {
      onState(stateOfRecord(await file.text(), settings));
    } catch (error) {
      onProblem(`${file.name} cannot be opened: ${error.message}`);
    }
  });
  field.click();
}
