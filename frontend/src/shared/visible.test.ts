import { expect, test } from "vitest";

import { visibleLine, visibleText } from "./visible";

test.each([
  ["a\nb\tc", "a␊b␉c"],
  ["\u0000\u001b[31m\u007f", "␀␛[31m␡"],
  ["\u202egnp.exe", "⟨U+202E⟩gnp.exe"],
  ["zero\u200bwidth\ufeff", "zero⟨U+200B⟩width⟨U+FEFF⟩"],
  ["\u0085", "⟨U+0085⟩"],
  ["lone \ud800 and \udc00", "lone ⟨U+D800⟩ and ⟨U+DC00⟩"],
  ["whole 🌍, שלום, 世界", "whole 🌍, שלום, 世界"],
  ["<b>", "<b>"],
])("%j is shown as %s", (text, shown) => expect(visibleLine(text)).toBe(shown));

test("a text keeps its lines and tabs, and shows carriage returns", () => {
  expect(visibleText("a\r\nb\rc\n\td\u0007")).toBe("a␍\nb␍\nc\n\td␇");
});
