/**
 * What the lines of a tune's text say without parsing it: its title, its bars in a line, its voices.
 */

const FIELD = /^[A-Za-z+]:/;

/** Return `{most, voices}`: the most bars in one line of music, and how many voices there are. */
export function barsOfLines(abc) {
  const voices = new Set([...abc.matchAll(/(?:^|\[)V:\s*([^\s\]]+)/gm)].map(([, name]) => name));
  const music = abc.split("\n").filter((line) => !FIELD.test(line.trim()) && !line.startsWith("%"));
  const bars = music.map((line) => (line.replace(/"[^"]*"/g, "").match(/[|:\]]*\|[|:\]]*/g) ?? []).length);
  return { most: Math.max(0, ...bars), voices: Math.max(1, voices.size) };
}

/** Return the first title; empty if it has none. */
export function titleOf(abc) {
  return (abc.match(/^\s*T:\s*(.*)$/m)?.[1] ?? "").trim();
}

/** Return a name for files of a tune: its title in plain letters. */
export function fileNameOf(abc) {
  const plain = titleOf(abc).normalize("NFKD").replace(/[^A-Za-z0-9]+/g, "-").replace(/^-+|-+$/g, "");
  return plain.slice(0, 60).toLowerCase() || "tune";
}
