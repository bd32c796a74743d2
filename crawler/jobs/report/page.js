"use strict";
// Sorts the tables and searches the list of images. Texts become text nodes, never markup.

const numberOf = (cell) => (cell.dataset.v === undefined ? null : Number(cell.dataset.v));
const collator = new Intl.Collator("en", { numeric: true });

function compare(a, b) {
  return typeof a === "number" && typeof b === "number" ? a - b : collator.compare(a, b);
}

/** Make each head of a table a button; `sort` is told the column and whether the largest comes first. */
function makeSortable(table, sort) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const first = head.classList.contains("n") ? "descending" : "ascending";
      const other = first === "ascending" ? "descending" : "ascending";
      const order = head.getAttribute("aria-sort") === first ? other : first;
      heads.forEach((one) => one.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", order);
      sort(column, order === "descending");
    });
  });
}

function sortRows(table, column, isDescending) {
  const body = table.tBodies[0];
  const keyed = [...body.rows].map((row) => [numberOf(row.cells[column]) ?? row.cells[column].textContent, row]);
  keyed.sort((a, b) => (isDescending ? compare(b[0], a[0]) : compare(a[0], b[0])));
  body.append(...keyed.map(([, row]) => row));
}

for (const table of document.querySelectorAll("table.sortable")) {
  makeSortable(table, (column, isDescending) => sortRows(table, column, isDescending));
}

const data = JSON.parse(document.getElementById("data").textContent);
const [REGISTRY, NAME, DAY, PULLS, RANK] = [0, 1, 2, 3, 4];
const KINDS = {
  "": () => true,
  both: (row) => row[RANK] === 0,
  never: (row) => row[RANK] === 0 || row[RANK] === 2,
  old: (row) => row[RANK] < 2,
  undated: (row) => row[DAY] === null,
};
const labelOf = (row) => `${data.registries[row[REGISTRY]][1]}/${row[NAME]}`;
const form = document.getElementById("search");
const query = document.getElementById("query");
const kind = document.getElementById("kind");
const region = document.getElementById("region");
const found = document.getElementById("found");
const more = document.getElementById("more");
const list = document.querySelector("#images table");
let ordered = data.rows; // in the order that was asked for last
let matches = data.rows;
let shown = 0;
let texts = null; // what is searched, by row: made when something is

function cell(tag, text, isNumber) {
  const made = document.createElement(tag);
  made.textContent = text;
  if (isNumber) made.className = "n";
  return made;
}

function rowOf(row) {
  const made = document.createElement("tr");
  const head = cell("th", labelOf(row), false);
  head.scope = "row";
  const day = row[DAY] === null ? "–" : new Date(row[DAY] * 864e5).toISOString().slice(0, 10);
  const pulls = row[PULLS] === null ? "–" : row[PULLS].toLocaleString("en");
  made.append(head, cell("td", day, true), cell("td", pulls, true));
  return made;
}

function showMore() {
  const next = matches.slice(shown, shown + data.step);
  list.tBodies[0].append(...next.map(rowOf));
  shown += next.length;
  more.hidden = shown >= matches.length;
  const counted = [matches.length, data.rows.length, shown].map((value) => value.toLocaleString("en"));
  found.textContent = `${counted[0]} of ${counted[1]} images, ${counted[2]} shown`;
}

function search() {
  const words = query.value.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length && texts === null) texts = new Map(data.rows.map((row) => [row, labelOf(row).toLowerCase()]));
  const isKind = KINDS[kind.value];
  const isHere = (row) => !region.value || data.registries[row[REGISTRY]][0] === region.value;
  const isNamed = (row) => words.every((word) => texts.get(row).includes(word));
  matches = ordered.filter((row) => isKind(row) && isHere(row) && isNamed(row));
  list.tBodies[0].replaceChildren();
  shown = 0;
  showMore();
}

function sortList(column, isDescending) {
  const keyOf = [labelOf, (row) => row[DAY] ?? -1, (row) => row[PULLS] ?? -1][column];
  const plain = (a, b) => (a < b ? -1 : a > b ? 1 : 0); // a collator takes seconds for so many
  const keyed = data.rows.map((row) => [keyOf(row), row]);
  keyed.sort((a, b) => (isDescending ? plain(b[0], a[0]) : plain(a[0], b[0])));
  ordered = keyed.map(([, row]) => row);
  search();
}

if (data.rows.length) {
  form.hidden = false;
  form.addEventListener("submit", (event) => event.preventDefault());
  for (const field of [query, kind, region]) field.addEventListener("input", search);
  more.addEventListener("click", showMore);
  makeSortable(list, sortList);
  search();
}
