/**
 * The turns, which scroll: the end stays in sight while an answer grows, unless the user reads above.
 */
import { html, useEffect, useLayoutEffect, useMemo, useRef, useState } from "../../vendor/preact.js";
import { Icon } from "../icons.js";
import { Turn } from "./turn.js";

const NEAR_PX = 60;

/** Keep the end of an element in sight; returns refs of it and its content, whether it is, and a jump. */
function useEnd(numTurns) {
  const outer = useRef(null);
  const inner = useRef(null);
  const follows = useRef(true);
  const numShown = useRef(numTurns);
  numShown.current = numTurns;
  const [isAtEnd, setAtEnd] = useState(true);
  const jump = () => {
    follows.current = true;
    outer.current.scrollTop = outer.current.scrollHeight;
  };
  useLayoutEffect(() => {
    if (numTurns) jump();
    else outer.current.scrollTop = 0;
  }, [numTurns]);
  useEffect(() => {
    const { current: element } = outer;
    let top = element.scrollTop;
    const note = () => {
      const isNear = element.scrollHeight - element.scrollTop - element.clientHeight < NEAR_PX;
      if (isNear) follows.current = true;
      else if (element.scrollTop < top) follows.current = false; // the user went up; growing does not
      top = element.scrollTop;
      setAtEnd(isNear);
    };
    const observer = new ResizeObserver(() => {
      if (follows.current && numShown.current) element.scrollTop = element.scrollHeight;
      note();
    });
    observer.observe(inner.current);
    observer.observe(element);
    element.addEventListener("scroll", note, { passive: true });
    return () => {
      observer.disconnect();
      element.removeEventListener("scroll", note);
    };
  }, []);
  return { outer, inner, isAtEnd, jump };
}

/** @param {object} props `state`, `conversation`, `settings`, `isEditing`, `onEditing`; `children`: shown without turns */
export function Log({ state, conversation, settings, isEditing, onEditing, children }) {
  const { turns, writing } = state;
  const { outer, inner, isAtEnd, jump } = useEnd(turns.length);
  return html`<div class="log-frame">
    <div class="log" ref=${outer} role="log" aria-label="Conversation" aria-busy=${writing !== null} tabindex="-1">
      <div class="column" ref=${inner}>
        ${turns.length ? null : children}
        ${turns.map((turn, place) => {
          const isLast = place === turns.length - 1;
          return html`<${MemoTurn} key=${turn.id} turn=${turn} writing=${isLast ? writing : null}
            isLast=${isLast} isBusy=${writing !== null} isEditing=${isLast && isEditing}
            onEditing=${onEditing} conversation=${conversation} settings=${settings} />`;
        })}
      </div>
    </div>
    ${!isAtEnd && turns.length > 0 &&
    html`<button class="icon-button jump" onClick=${jump} title="To the end" aria-label="To the end">
      <${Icon} name="down" /></button>`}
  </div>`;
}

/** A turn that is drawn again only when something of it changes. */
function MemoTurn(props) {
  const { turn, writing, isLast, isBusy, isEditing, settings } = props;
  return useMemo(() => html`<${Turn} ...${props} />`, [turn, writing, isLast, isBusy, isEditing, settings]);
}
