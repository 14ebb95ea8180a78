"use strict";
const keyOf = (row, column) => {
  const cell = row.cells[column];
  const number = Number(cell.dataset.key);
  return cell.dataset.key && !Number.isNaN(number) ? number : cell.textContent.trim();
};
const compare = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b
  : typeof a === "number" ? -1 : typeof b === "number" ? 1 : a.localeCompare(b));
for (const head of document.querySelectorAll("table.sortable thead th")) {
  const button = document.createElement("span"); // a real button keeps browsers from repeating the head on paper
  button.setAttribute("role", "button");
  button.tabIndex = 0;
  button.append(...head.childNodes);
  button.title = "Sort by this column";
  head.replaceChildren(button);
  button.addEventListener("keydown", (press) => {
    if (press.key === "Enter") button.click();
  });
  button.addEventListener("click", () => {
    const direction = head.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
    for (const other of head.parentNode.children) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", direction);
    const body = head.closest("table").tBodies[0];
    const rows = [...body.rows].sort((a, b) => compare(keyOf(a, head.cellIndex), keyOf(b, head.cellIndex)));
    body.append(...(direction === "ascending" ? rows : rows.reverse()));
  });
}
const reveal = () => { // a link may lead into a part that is folded
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  for (let part = target.closest("details"); part; part = part.parentElement.closest("details")) part.open = true;
  target.scrollIntoView();
};
addEventListener("hashchange", reveal);
reveal();
let folded = [];
addEventListener("beforeprint", () => {
  folded = [...document.querySelectorAll("details:not([open])")];
  for (const part of folded) part.open = true;
});
addEventListener("afterprint", () => {
  for (const part of folded) part.open = false;
});
