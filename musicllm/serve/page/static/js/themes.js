/**
 * The button that changes the colours: as the system has them, light, dark. `theme.js` applies the
 * choice before the page is painted.
 */
import { html, useState } from "../vendor/preact.js";
import { Icon } from "./icons.js";

const THEMES = ["system", "light", "dark"];

function stored() {
  const theme = document.documentElement.dataset.theme;
  return THEMES.includes(theme) ? theme : "system";
}

function apply(theme) {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  try {
    localStorage.setItem("musicllm.theme", theme);
  } catch {
    // the choice holds until the page is closed
  }
}

export function ThemeButton() {
  const [theme, setTheme] = useState(stored);
  const change = () => {
    const next = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
    apply(next);
    setTheme(next);
  };
  return html`<button class="icon-button theme" onClick=${change} title=${`Colours: ${theme}`}
    aria-label=${`Colours: ${theme}. Change them.`}><${Icon} name=${theme} /></button>`;
}
