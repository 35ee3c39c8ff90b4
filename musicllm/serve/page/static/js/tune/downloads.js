/**
 * Files of a tune: its text from here, every other format from the server.
 */
import { html, useState } from "../../vendor/preact.js";
import { request } from "../api.js";
import { fileNameOf } from "./lines.js";

/** Formats of /v1/tunes/render with the ending of their files, and whether they sound. */
const FORMATS = [
  { format: "abc", name: "ABC", ending: ".abc" },
  { format: "midi", name: "MIDI", ending: ".mid", sounds: true },
  { format: "musicxml", name: "MusicXML", ending: ".musicxml" },
  { format: "wav", name: "WAV", ending: ".wav", sounds: true },
  { format: "mp3", name: "MP3", ending: ".mp3", sounds: true },
  { format: "svg", name: "SVG", ending: ".svg" },
  { format: "pdf", name: "PDF", ending: ".pdf" },
];

/**
 * Buttons that save a tune.
 *
 * @param {string} abc
 * @param {{transpose: number, factor: number, program: number}} sound as it is set; the text is
 *   saved as it is written.
 */
export function Downloads({ abc, sound }) {
  const [busy, setBusy] = useState(null);
  const [message, setMessage] = useState(null);
  async function download(kind) {
    setBusy(kind.format);
    setMessage(null);
    try {
      const { file, problems } = await fileOf(abc, kind, sound);
      save(file, fileNameOf(abc) + kind.ending);
      if (problems.length) setMessage(`${kind.name}: ${problems.join("; ")}`);
    } catch (failure) {
      setMessage(`No ${kind.name} file: ${failure.message}`);
    }
    setBusy(null);
  }
  return html`<div class="downloads" role="group" aria-label="Download">
    ${FORMATS.map(
      (kind) => html`<button type="button" class="button" disabled=${busy !== null}
        aria-busy=${busy === kind.format} onClick=${() => download(kind)}>
        <span class="unseen">Download </span>${kind.name}
      </button>`,
    )}
    ${message && html`<p class="tune-problem" role="alert">${message}</p>`}
  </div>`;
}

/** Return `{file, problems}`: a blob, and what is not as the tune says. */
async function fileOf(abc, { format, sounds }, { transpose, factor, program }) {
  if (format === "abc") return { file: new Blob([`${abc.trimEnd()}\n`]), problems: [] };
  const body = { abc, format, transpose, ...(sounds && { tempo: factor, program }) };
  const response = await request("/v1/tunes/render", { body });
  const problems = JSON.parse(response.headers.get("X-MusicLLM-Problems") ?? "[]");
  return { file: await response.blob(), problems };
}

function save(blob, name) {
  const url = URL.createObjectURL(blob);
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
