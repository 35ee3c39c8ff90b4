/**
 * Server-sent events of a response as an asynchronous iterator (WHATWG HTML, section 9.2).
 *
 * Only what our server sends: `data` and comments. EventSource cannot send a body, so it is no use here.
 */

/**
 * Yield `{data: text}` for each event and `{comment: text}` for each comment, in order.
 *
 * @param {Response} response whose body is text/event-stream
 */
export async function* eventsOf(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let data = [];
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const lines = (rest + value).split(/\r\n|\n|\r(?!$)/);
      rest = lines.pop();
      for (const line of lines) {
        if (line.startsWith(":")) yield { comment: line.slice(1).trim() };
        else if (line.startsWith("data:")) data.push(line.slice(5).replace(/^ /, ""));
        else if (line === "" && data.length) {
          yield { data: data.join("\n") };
          data = [];
        }
      }
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}
