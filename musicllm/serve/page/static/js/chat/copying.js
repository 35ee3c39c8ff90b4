/**
 * A button that copies a text, and says so.
 */
import { html, useEffect, useState } from "../../vendor/preact.js";
import { Icon } from "../icons.js";

const SAID_MS = 1500;

/** Copy a text; return whether it could be. Without HTTPS a browser has no clipboard of its own. */
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const field = document.createElement("textarea");
    field.value = text;
    field.className = "unseen";
    document.body.append(field);
    field.select();
    const isDone = document.execCommand("copy");
    field.remove();
    return isDone;
  }
}

/** @param {{text: () => string, what: string}} props `what` is copied, for the label */
export function CopyButton({ text, what }) {
  const [outcome, setOutcome] = useState("");
  useEffect(() => {
    if (!outcome) return undefined;
    const timer = setTimeout(() => setOutcome(""), SAID_MS);
    return () => clearTimeout(timer);
  }, [outcome]);
  const onClick = async () => setOutcome((await copy(text())) ? "Copied" : "The browser does not copy");
  const label = outcome || `Copy ${what}`;
  return html`<button class="icon-button" onClick=${onClick} title=${label} aria-label=${label}>
    <${Icon} name=${outcome === "Copied" ? "done" : "copy"} />
  </button>`;
}
