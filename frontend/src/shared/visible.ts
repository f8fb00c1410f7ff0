const CONTROLS = /[\u0000-\u0008\u000b-\u001f\u007f]/g;
const ALL_CONTROLS = /[\u0000-\u001f\u007f]/g;
// C1 controls, soft hyphen, zero-width and bidirectional marks, line separators, byte order mark, lone surrogates.
const INVISIBLE =
  /[\u0080-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

const picture = (character: string) =>
  character === "\u007f" ? "\u2421" : String.fromCharCode(0x2400 + character.charCodeAt(0));

const codePoint = (character: string) =>
  `\u27e8U+${character.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}\u27e9`;

/**
 * A text as one line that shows all that it holds: line ends and control characters as their pictures, and what is
 * invisible or turns the direction of writing by its number. So nothing that a publisher sends can disguise itself.
 */
export function visibleLine(text: string): string {
  return text.replace(ALL_CONTROLS, picture).replace(INVISIBLE, codePoint);
}

/** Likewise, but tabs and line ends stay what they are. */
export function visibleText(text: string): string {
  return text
    .replace(/\r\n?/g, (end) => (end === "\r\n" ? "\u240d\n" : "\u240d\n"))
    .replace(CONTROLS, picture)
    .replace(INVISIBLE, codePoint);
}
