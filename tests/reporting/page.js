// Shows the differences of the pair of runs that is chosen, and opens what a link points at.
"use strict";
const pairs = JSON.parse(document.getElementById("pairs").textContent);
const chosen = document.getElementById("pair");

function cell(kind, words, look) {
  const made = document.createElement(kind);
  made.textContent = words;
  if (look) made.className = look;
  return made;
}

function show() {
  const pair = pairs[Number(chosen.value)];
  const table = document.createElement("table");
  const head = table.createTHead().insertRow();
  for (const words of ["row", "figure", "server", pair.a, pair.b, "change", ""]) head.append(cell("th", words));
  const body = table.createTBody();
  const counts = {};
  for (const values of pair.rows) {
    const verdict = values[6];
    counts[verdict] = (counts[verdict] ?? 0) + 1;
    const line = body.insertRow();
    values.forEach((value, place) =>
      line.append(cell("td", value, place === 6 ? verdict : place > 2 ? "number" : "")),
    );
  }
  document.getElementById("pair-table").replaceChildren(table);
  document.getElementById("pair-verdicts").textContent = Object.entries(counts)
    .map(([verdict, count]) => `${count} ${verdict}`)
    .join(", ");
}

function unfold() {
  const target = document.getElementById(location.hash.slice(1));
  if (target instanceof HTMLDetailsElement) target.open = true;
}

if (pairs.length) {
  chosen.value = String(pairs.length - 1);
  chosen.addEventListener("change", show);
  show();
}
addEventListener("hashchange", unfold);
unfold();
