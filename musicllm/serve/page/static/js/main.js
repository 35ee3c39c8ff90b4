/**
 * Starts the page: reads what the server has, and shows the tabs.
 *
 * A tab is one module with a title and a component; TABS lists them. Tabs that are not in front stay
 * mounted, hidden, so that an answer goes on while another tab is read. A component gets `settings`
 * (/page/settings.json, renewed while a model is loading) and `isFront`.
 */
import { html, render, useEffect, useState } from "../vendor/preact.js";
import { Banners } from "./banners.js";
import { ChatTab } from "./chat/tab.js";
import { CompareTab } from "./compare/tab.js";
import { ComposeTab } from "./compose/tab.js";
import { ThemeButton } from "./themes.js";
import { readSettings } from "./api.js";

const TABS = [
  { name: "chat", title: "Chat", Tab: ChatTab },
  { name: "compose", title: "Compose", Tab: ComposeTab },
  { name: "compare", title: "Compare", Tab: CompareTab },
];
const AGAIN_MS = 1000;

/** Settings of the server: read at the start, and again while a model is loading or no answer comes. */
function useSettings() {
  const [settings, setSettings] = useState(null);
  const [error, setError] = useState(null);
  useEffect(() => {
    let timer = null;
    let isGone = false;
    async function read() {
      let isLoading = true;
      try {
        const answer = await readSettings();
        if (isGone) return;
        setSettings(answer);
        setError(null);
        isLoading = answer.models.some((model) => model.state === "loading");
      } catch (failure) {
        setError(failure);
      }
      if (isLoading && !isGone) timer = setTimeout(read, AGAIN_MS);
    }
    read();
    return () => {
      isGone = true;
      clearTimeout(timer);
    };
  }, []);
  return [settings, error];
}

/** Name of the tab of the address (`/#compose`), so that a reload keeps it. */
function tabOfAddress() {
  const name = location.hash.slice(1);
  return TABS.some((tab) => tab.name === name) ? name : TABS[0].name;
}

/** Keys of a list of tabs, as the ARIA Authoring Practices describe them. */
function nextTab(event, front) {
  const number = TABS.findIndex((tab) => tab.name === front);
  const numbers = { ArrowRight: number + 1, ArrowLeft: number - 1, Home: 0, End: TABS.length - 1 };
  if (!(event.key in numbers)) return null;
  event.preventDefault();
  return TABS[(numbers[event.key] + TABS.length) % TABS.length].name;
}

function Page() {
  const [settings, error] = useSettings();
  const [front, setFront] = useState(tabOfAddress);
  useEffect(() => {
    const follow = () => setFront(tabOfAddress());
    addEventListener("hashchange", follow);
    return () => removeEventListener("hashchange", follow);
  }, []);
  const show = (name) => {
    history.replaceState(null, "", `#${name}`);
    setFront(name);
  };
  const onKeyDown = (event) => {
    const name = nextTab(event, front);
    if (!name) return;
    show(name);
    document.getElementById(`tab-${name}`).focus();
  };
  return html`
    <header class="top">
      <h1><img src="/static/icon.svg" alt="" /><span>musicllm</span></h1>
      <div role="tablist" aria-label="Parts of the page" onKeyDown=${onKeyDown}>
        ${TABS.map(
          ({ name, title }) => html`<button role="tab" key=${name} id=${`tab-${name}`}
            aria-selected=${front === name} aria-controls=${`panel-${name}`}
            tabindex=${front === name ? 0 : -1}
            onClick=${() => show(name)}>${title}</button>`,
        )}
      </div>
      <${ThemeButton} />
    </header>
    <${Banners} settings=${settings} error=${error} />
    ${settings
      ? TABS.map(
          ({ name, Tab }) => html`<main role="tabpanel" key=${name} id=${`panel-${name}`}
            aria-labelledby=${`tab-${name}`} hidden=${front !== name}>
            <${Tab} settings=${settings} isFront=${front === name} />
          </main>`,
        )
      : html`<p class="loading">${error ? "" : "Loading…"}</p>`}
  `;
}

render(html`<${Page} />`, document.getElementById("page"));
