/**
 * Which keys do what where messages are typed.
 */

/** Return whether a key sends the message: Enter, but not while an input method composes. */
export function sendsMessage(event) {
  return event.key === "Enter" && !event.shiftKey && !event.isComposing && event.keyCode !== 229;
}
