
"use strict";
// Each head of a table becomes a button that sorts its rows; a second click turns the order. What is missing stays last.
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  heads.forEach((head, index) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const order = head.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", order);
      const sign = order === "ascending" ? 1 : -1;
      const words = head.classList.contains("words");
      const value = (row) => row.cells[index].dataset.value;
      const missing = (row) => (words ? value(row) === "" : Number.isNaN(Number(value(row))) || value(row) === "");
      const compare = (a, b) => (words ? value(a).localeCompare(value(b)) : value(a) - value(b));
      const rows = [...body.rows].sort((a, b) => missing(a) - missing(b) || sign * compare(a, b));
      body.append(...rows);
    });
  });
}
