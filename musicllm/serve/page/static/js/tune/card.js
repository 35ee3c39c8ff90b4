/**
 * A tune of an answer: its score, its sound, its text and its checks.
 */
import { html, useCallback, useEffect, useRef, useState } from "../../vendor/preact.js";
import { Icon } from "../icons.js";
import { Checks, spansOf, useChecks } from "./checks.js";
import { Downloads } from "./downloads.js";
import { Editor } from "./editor.js";
import { useInView } from "./in-view.js";
import { titleOf } from "./lines.js";
import { mark } from "./marks.js";
import { PlayerBar, SoundSettings } from "./player-bar.js";
import { Score } from "./score.js";

const SOUND = { transpose: 0, program: 0, chords: true, factor: 1 };
const EMPTY_PX = 360;

/**
 * A tune.
 *
 * @param {string} abc its text.
 * @param {string} [original] the text before any edit, if `abc` may have been edited already.
 * @param {(abc: string) => void} [onChange] receives the text when the user edited it.
 * @param {boolean} [isComplete] false while it is being written: then only its lines that are
 *   complete are drawn, and it has no sound, checks and files yet.
 * @param {(verdict: "keep" | "discard" | null) => void} [onVerdict] with it, the card has buttons
 *   to keep or discard the tune; null takes a verdict back.
 */
export function TuneCard({ abc, original, onChange, isComplete = true, onVerdict }) {
  const [text, setText] = useState(abc);
  const [sound, setSound] = useState(SOUND);
  const [drawn, setDrawn] = useState(null);
  const [panel, setPanel] = useState(null);
  const [selected, setSelected] = useState(null);
  const place = useRef(null);
  const seeker = useRef(null);
  const editor = useRef(null);
  const isNear = useInView(place);
  const first = useRef(abc);
  useEffect(() => {
    if (abc !== text) first.current = abc; // not an own edit that comes back
    setText(abc);
  }, [abc]);
  const { checks, error } = useChecks(text, isNear && isComplete);
  const height = useHeight(place, isNear);
  useEffect(() => {
    if (drawn?.tune) mark(drawn, checks && drawn.abc === text ? spansOf(checks) : []);
  }, [drawn, checks]);
  useEffect(() => {
    if (!isNear) setDrawn(null);
  }, [isNear]);
  const onSelect = useCallback((start, stop) => {
    seeker.current?.(start);
    if (editor.current) setSelected([start, stop]);
  }, []);
  const showInText = (start, stop) => {
    setPanel("abc");
    setSelected([start, stop]);
  };

  const edit = (next) => {
    setText(next);
    onChange?.(next);
  };
  const change = (part) => setSound((before) => ({ ...before, ...part }));
  const shown = isComplete ? text : text.slice(0, text.lastIndexOf("\n") + 1);
  const title = titleOf(text);
  const problem = isComplete && drawn?.reason;
  return html`<section class="tune" aria-label=${title ? `Tune: ${title}` : "Tune"} ref=${place}
    style=${isNear && drawn ? null : `min-height:${height}px`}>
    ${isNear &&
    html`<${Score} abc=${shown} transpose=${sound.transpose} onDrawn=${setDrawn} onSelect=${onSelect}
      label=${title ? `Score of ${title}` : "Score"} />`}
    ${problem && html`<p class="tune-problem" role="status">No score: ${problem}</p>`}
    ${isComplete &&
    html`<${PlayerBar} drawn=${drawn} sound=${sound} seeker=${seeker} />
      ${isNear &&
      html`<${Checks} checks=${checks} error=${error} onShow=${showInText} />
        <div class="tune-tools">
          <${Switch} name="sound" icon="sliders" label="Sound" open=${panel} onOpen=${setPanel} />
          <${Switch} name="abc" icon="edit" label="Edit" open=${panel} onOpen=${setPanel} />
          <${Switch} name="files" icon="save" label="Download" open=${panel} onOpen=${setPanel} />
          ${onVerdict && html`<${Verdict} onVerdict=${onVerdict} />`}
        </div>
        ${panel === "sound" && html`<${SoundSettings} sound=${sound} onSound=${change} />`}
        ${(panel === "abc" || problem) &&
        html`<${Editor} text=${text} original=${original ?? first.current} onText=${edit} selected=${selected}
          place=${editor} />`}
        ${panel === "files" && html`<${Downloads} abc=${text} sound=${sound} />`}`}`}
  </section>`;
}

/** The height that the card had in view, so that nothing moves while it has no score. */
function useHeight(place, isNear) {
  const height = useRef(EMPTY_PX);
  useEffect(() => {
    if (!isNear) return undefined;
    const observer = new ResizeObserver(() => {
      height.current = place.current?.offsetHeight || height.current;
    });
    observer.observe(place.current);
    return () => observer.disconnect();
  }, [isNear]);
  return height.current;
}

function Switch({ name, icon, label, open, onOpen }) {
  const isOpen = open === name;
  return html`<button type="button" class="button" aria-expanded=${isOpen}
    onClick=${() => onOpen(isOpen ? null : name)}>
    <${Icon} name=${icon} />${label}
  </button>`;
}

function Verdict({ onVerdict }) {
  const [verdict, setVerdict] = useState(null);
  const button = (value, label) => html`<button type="button" class="button"
    aria-pressed=${verdict === value}
    onClick=${() => {
      const next = verdict === value ? null : value;
      setVerdict(next);
      onVerdict(next);
    }}>${label}</button>`;
  return html`<span class="verdict" role="group" aria-label="Verdict">
    ${button("keep", "Keep")}${button("discard", "Discard")}
  </span>`;
}
