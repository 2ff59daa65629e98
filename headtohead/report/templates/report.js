"use strict";
// What can be chosen in a report: the order of rows, which rows, two rows to compare, the axis of a figure. The choice
// stands in the address after "#", so that it can be linked to. Every number and verdict is in the page already.
const state = new URLSearchParams(location.hash.includes("=") ? location.hash.slice(1) : "");
const keep = (name, value) => {
  if (value) state.set(name, value); else state.delete(name);
  history.replaceState(null, "", `#${state}`);
};
const make = (tag, properties, ...children) => {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
};

// Each head of a table becomes a button that sorts its rows; a second click turns the order. What is missing stays last.
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  const name = `sort-${table.getAttribute("aria-labelledby")}`;
  const sort = (index, order) => {
    const head = heads[index];
    heads.forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", order);
    const sign = order === "ascending" ? 1 : -1;
    const words = head.classList.contains("words");
    const value = (row) => row.cells[index].dataset.value ?? row.cells[index].textContent;
    const missing = (row) => (words ? value(row) === "" : Number.isNaN(Number(value(row))) || value(row) === "");
    const compare = (a, b) => (words ? value(a).localeCompare(value(b)) : value(a) - value(b));
    body.append(...[...body.rows].sort((a, b) => missing(a) - missing(b) || sign * compare(a, b)));
  };
  heads.forEach((head, index) => {
    const button = make("button", { type: "button" }, ...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const order = head.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
      sort(index, order);
      keep(name, `${index} ${order}`);
    });
  });
  const [index, order] = (state.get(name) ?? "").split(" ");
  if (heads[index] && ["ascending", "descending"].includes(order)) sort(index, order);
}

// Rows that hold every word of the filter stay, in all tables below it.
const filter = make("input", { type: "search", id: "words", value: state.get("rows") ?? "" });
const said = make("span", { role: "status" });
const rows = [...document.querySelectorAll("#tables ~ * tbody tr, #runs ~ * tbody tr")];
const select = () => {
  const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const row of rows) row.hidden = !words.every((word) => row.textContent.toLowerCase().includes(word));
  said.textContent = words.length ? ` ${rows.filter((row) => !row.hidden).length} of ${rows.length} rows` : "";
};
filter.addEventListener("input", () => { select(); keep("rows", filter.value); });
document.querySelector("#filter").append(make("label", { htmlFor: "words" }, "Rows with "), filter, said);
select();

// Two rows that are chosen: what the page says of them.
for (const part of document.querySelectorAll(".choose")) {
  const lines = [...part.querySelectorAll("li")];
  const names = [...new Set(lines.flatMap((line) => [line.dataset.one, line.dataset.other]))].sort();
  const name = `pair-${part.dataset.part}`;
  const chosen = (state.get(name) ?? "").split(" | ");
  const known = names.includes(chosen[0]) && names.includes(chosen[1]);
  const [one, other] = [0, 1].map((index) => {
    const label = index ? "against" : "row";
    const list = make("select", { ariaLabel: `${part.dataset.title}, ${label}` }, ...names.map((row) => new Option(row)));
    list.value = known ? chosen[index] : lines[0].dataset[index ? "other" : "one"];
    return list;
  });
  const answer = make("ul", { ariaLive: "polite" });
  const show = () => {
    const both = [one.value, other.value];
    const found = lines.filter((line) => both[0] !== both[1] && both.includes(line.dataset.one) && both.includes(line.dataset.other));
    answer.replaceChildren(...found.map((line) => line.cloneNode(true)));
    if (!found.length) answer.append(make("li", {}, "These two are not compared."));
  };
  for (const list of [one, other]) {
    list.addEventListener("change", () => { show(); keep(name, `${one.value} | ${other.value}`); });
  }
  part.prepend(make("h3", {}, part.dataset.title), make("p", {}, one, " against ", other), answer);
  show();
}

// The figures of one kind that differ in the cost on their axis become one, with a choice of the axis.
const axes = { params: "parameters", macs: "MACs", time: "seconds" };
const fronts = {};
for (const figure of document.querySelectorAll("figure[id^=figure-pareto_]")) {
  const [, cost, suffix] = figure.id.match(/^figure-pareto_([a-z]+)(.*)$/);
  (fronts[suffix] ??= {})[cost] = figure;
}
for (const [suffix, figures] of Object.entries(fronts)) {
  const name = `axis${suffix}`;
  const show = (cost) => { for (const other in figures) figures[other].hidden = other !== cost; };
  const costs = Object.keys(figures);
  const first = costs.includes(state.get(name)) ? state.get(name) : costs[0];
  const field = make("fieldset", {}, make("legend", {}, `Cost on the axis${suffix.replace("-", ", ")}`));
  for (const cost of costs) {
    const choice = make("input", { type: "radio", name, value: cost, checked: cost === first });
    choice.addEventListener("change", () => { show(cost); keep(name, cost); });
    field.append(make("label", {}, choice, ` ${axes[cost]} `));
  }
  const front = make("div", {}, field);
  figures[costs[0]].before(front);
  front.append(...Object.values(figures));
  show(first);
}

// The numbers of the point of a figure that is nearest to the pointer.
const spots = JSON.parse(document.querySelector("#spots").textContent);
const near = make("div", { id: "near", hidden: true });
document.body.append(near);
for (const [name, points] of Object.entries(spots)) {
  const drawn = document.getElementById(`figure-${name}`).querySelector(".drawn");
  const look = (event) => {
    const box = drawn.firstElementChild.getBoundingClientRect();
    const away = ([x, y]) => Math.hypot(box.left + (x * box.width) / 1000 - event.clientX, box.top + (y * box.height) / 1000 - event.clientY);
    const point = points.reduce((best, other) => (away(other) < away(best) ? other : best));
    near.hidden = away(point) > 24;
    near.textContent = point[2];
    near.style.left = `${Math.min(event.clientX + 12, innerWidth - near.offsetWidth - 8)}px`;
    near.style.top = `${event.clientY + 16}px`;
  };
  drawn.addEventListener("pointermove", look);
  drawn.addEventListener("pointerdown", look);
  drawn.addEventListener("pointerleave", () => { near.hidden = true; });
}
