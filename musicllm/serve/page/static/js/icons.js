/**
 * Icons as inline SVG: nothing is fetched, and their colour is that of the text around them.
 */
import { html } from "../vendor/preact.js";

const PATHS = {
  copy: ["M9 9h10v10H9z", "M5 15V5h10"],
  done: ["M5 12.5l4.5 4.5L19 7.5"],
  retry: ["M19 12a7 7 0 1 1-2.2-5.1", "M19 4v4h-4"],
  edit: ["M5 19l1-4L16 5l3 3L9 18z"],
  send: ["M12 19V5", "M6 11l6-6 6 6"],
  stop: ["M7 7h10v10H7z"],
  play: ["M8 5l11 7-11 7z"],
  pause: ["M8 5v14", "M16 5v14"],
  sliders: ["M4 8h9", "M17 8h3", "M4 16h3", "M11 16h9", "M15 6v4", "M9 14v4"],
  fresh: ["M12 5v14", "M5 12h14"],
  save: ["M12 4v11", "M7 11l5 5 5-5", "M5 20h14"],
  open: ["M12 16V5", "M7 9l5-5 5 5", "M5 20h14"],
  down: ["M12 5v14", "M6 13l6 6 6-6"],
  close: ["M6 6l12 12", "M18 6L6 18"],
  dice: ["M5 5h14v14H5z", "M9 9h.01", "M15 15h.01", "M15 9h.01", "M9 15h.01"],
  light: ["M12 8a4 4 0 1 0 .01 0", "M12 2v2", "M12 20v2", "M2 12h2", "M20 12h2", "M5 5l1.4 1.4", "M17.6 17.6L19 19", "M19 5l-1.4 1.4", "M6.4 17.6L5 19"],
  dark: ["M20 14.5A8 8 0 0 1 9.5 4 8 8 0 1 0 20 14.5z"],
  system: ["M4 5h16v11H4z", "M9 20h6", "M12 16v4"],
};

/** An icon; `name` is one of PATHS. It is decoration: its button has a label of its own. */
export function Icon({ name }) {
  return html`<svg class="icon" viewBox="0 0 24 24" aria-hidden="true">
    ${PATHS[name].map((path) => html`<path d=${path} />`)}
  </svg>`;
}
