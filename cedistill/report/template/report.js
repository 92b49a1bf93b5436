"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const make = (tag, properties = {}, ...children) => {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  };

  // Colours: as the system has them, or as chosen.
  const schemes = ["system", "light", "dark"];
  const button = $("scheme");
  const show = (scheme) => {
    if (scheme === "system") delete document.documentElement.dataset.scheme;
    else document.documentElement.dataset.scheme = scheme;
    button.textContent = `Colours: ${scheme}`;
    button.dataset.scheme = scheme;
  };
  button.hidden = false;
  show("system");
  button.addEventListener("click", () => show(schemes[(schemes.indexOf(button.dataset.scheme) + 1) % schemes.length]));

  // Tables: a button in each heading sorts; rows without a value stay last, the first stage stays on top.
  const value = (row, place, numeric) => {
    const cell = row.cells[place];
    if (!numeric) return (cell.dataset.objective ?? cell.textContent).trim().toLowerCase();
    const text = cell.dataset.v ?? cell.textContent;
    return text.trim() === "" ? NaN : Number(text);
  };
  const sortBy = (table, place) => {
    const heading = table.tHead.rows[0].cells[place];
    const numeric = heading.dataset.kind === "number";
    const before = heading.getAttribute("aria-sort");
    const way = before ? (before === "ascending" ? "descending" : "ascending") : numeric ? "descending" : "ascending";
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", way);
    const sign = way === "ascending" ? 1 : -1;
    const rows = [...table.tBodies[0].rows].filter((row) => !("pinned" in row.dataset));
    const keyed = rows.map((row) => [value(row, place, numeric), row]);
    keyed.sort(([a], [b]) => {
      if (!numeric) return sign * a.localeCompare(b, "en", { numeric: true });
      if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) - Number.isNaN(b);
      return sign * (a - b);
    });
    table.tBodies[0].append(...keyed.map(([, row]) => row));
  };
  for (const table of document.querySelectorAll("table:not(.heat)")) {
    [...table.tHead.rows[0].cells].forEach((heading, place) => {
      const sorter = make("button", { type: "button", title: "Sort" });
      sorter.append(...heading.childNodes);
      sorter.addEventListener("click", () => sortBy(table, place));
      heading.append(sorter);
    });
  }

  // Tables: filters by words, and by backbone and objective where there are several.
  const choices = (table, name) =>
    [...new Set([...table.querySelectorAll(`[data-${name}]`)].map((cell) => cell.dataset[name]))].filter(
      (one) => one && one !== "first stage",
    );
  const addFilter = (table, number) => {
    const rows = [...table.tBodies[0].rows].filter((row) => !("pinned" in row.dataset));
    if (rows.length < 3) return;
    const input = make("input", { type: "search", placeholder: "Filter rows", id: `filter-${number}` });
    input.setAttribute("aria-label", "Show rows with these words");
    const selects = ["backbone", "objective"].flatMap((name) => {
      const known = choices(table, name);
      if (known.length < 2) return [];
      const select = make("select", {}, new Option(`All ${name}s`, ""), ...known.map((one) => new Option(one, one)));
      select.dataset.name = name;
      select.setAttribute("aria-label", `Show one ${name}`);
      return [select];
    });
    const count = make("span", { className: "count" });
    count.setAttribute("role", "status");
    const apply = () => {
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      for (const row of rows) {
        const text = row.textContent.toLowerCase();
        const chosen = selects.every(
          (one) => !one.value || row.querySelector(`[data-${one.dataset.name}]`)?.dataset[one.dataset.name] === one.value,
        );
        row.hidden = !(chosen && words.every((word) => text.includes(word)));
        shown += !row.hidden;
      }
      count.textContent = shown === rows.length ? `${rows.length} rows` : `${shown} of ${rows.length} rows`;
    };
    for (const one of [input, ...selects]) one.addEventListener("input", apply);
    apply();
    table.parentElement.before(make("div", { className: "tools" }, input, ...selects, count));
  };
  document.querySelectorAll("table[data-filter]").forEach(addFilter);

  // Heat maps: one at a time.
  const maps = [...document.querySelectorAll(".heat-map")];
  if (maps.length > 1) {
    const buttons = maps.map((map) => make("button", { type: "button", textContent: map.dataset.name }));
    const choose = (place) => {
      maps.forEach((map, at) => (map.hidden = at !== place));
      buttons.forEach((one, at) => one.setAttribute("aria-pressed", String(at === place)));
    };
    buttons.forEach((one, place) => one.addEventListener("click", () => choose(place)));
    $("heat-switch").append(...buttons);
    $("heat-switch").hidden = false;
    choose(0);
  }

  // Queries: two models beside each other.
  const { sets, labels } = JSON.parse($("data").textContent);
  const models = (set) => Object.keys(set.values);
  const signed = (thousandths) => (thousandths > 0 ? "+" : thousandths < 0 ? "−" : "") + (Math.abs(thousandths) / 1000).toFixed(3);
  const plain = (thousandths) => (thousandths / 1000).toFixed(3);

  const chart = (rows) => {
    const [width, height, middle] = [900, 200, 100];
    const largest = Math.max(1, ...rows.map((row) => Math.abs(row.difference)));
    const bar = width / Math.max(rows.length, 1);
    const bars = rows.map(({ difference }, at) => {
      const size = (Math.abs(difference) / largest) * (middle - 4);
      const y = difference > 0 ? middle - size : middle;
      return `<rect x="${(at * bar).toFixed(2)}" y="${y.toFixed(1)}" width="${Math.max(bar - (bar > 3 ? 1 : 0), 0.6).toFixed(2)}" height="${size.toFixed(1)}" fill="var(${difference > 0 ? "--s0" : "--s1"})"/>`;
    });
    const ends = [rows[0], rows.at(-1)].map((row) => (row ? signed(row.difference) : ""));
    return `<svg viewBox="0 0 ${width} ${height}" preserveAspectRatio="none" role="img" aria-label="Differences of ${rows.length} queries, sorted">${bars.join("")}<line x1="0" x2="${width}" y1="${middle}" y2="${middle}" stroke="var(--muted)"/></svg><div class="ends"><span>A best: ${ends[0]}</span><span>B best: ${ends[1]}</span></div>`;
  };

  const documents = (set, query, model) => {
    const tops = set.tops[query]?.[model];
    if (!tops) return make("p", { className: "note", textContent: "Top documents are not kept for this query and model." });
    const grades = set.grades[query] ?? {};
    return make("ol", {}, ...tops.map((place) => {
      const [id, text] = set.documents[place];
      const grade = grades[place];
      const words = grade === undefined ? "not judged" : `grade ${grade}`;
      const badge = make("span", { className: grade > 0 ? "grade yes" : "grade", textContent: words });
      const parts = [make("span", { className: "id", textContent: `${id} ` })];
      if (set.judged) parts.push(badge, " ");
      return make("li", {}, ...parts, text);
    }));
  };

  const queryDetails = (set, row, a, b) => {
    const name = set.texts[row.place] || set.queries[row.place];
    const id = set.texts[row.place] ? make("span", { className: "id", textContent: ` ${set.queries[row.place]}` }) : "";
    const summary = make("summary", {}, make("span", {}, name, id), make("b", { textContent: signed(row.difference) }));
    const details = make("details", { className: "query" }, summary);
    details.addEventListener("toggle", () => {
      if (details.childElementCount > 1) return;
      for (const [model, letter] of [[a, "A"], [b, "B"]]) {
        details.append(
          make("h4", { textContent: `${letter}: ${labels[model]}, ${plain(set.values[model][row.place])}` }),
          documents(set, row.place, model),
        );
      }
    });
    return details;
  };

  // Pairs stand as (0, 1), (0, 2), ..., (1, 2), ...; a difference is the earlier model's minus the later's.
  const tested = (set, a, b) => {
    const names = models(set);
    let [one, other] = [names.indexOf(a), names.indexOf(b)];
    if (one === other) return "Choose two models to test them against each other.";
    const sign = one < other ? 1 : -1;
    if (sign < 0) [one, other] = [other, one];
    const before = one * names.length - (one * (one + 1)) / 2;
    const [difference, low, high, p, holm] = set.tests[before + other - one - 1];
    const ends = sign > 0 ? [low, high] : [-high, -low];
    const shown = (value) => (value < 0.0001 ? "< .0001" : `= ${value.toPrecision(2)}`);
    return (
      `Over all ${set.total} queries A − B is ${signed(sign * difference * 1000)} ${set.heading}, 95 % interval over queries ` +
      `and seeds ${signed(ends[0] * 1000)} to ${signed(ends[1] * 1000)}; paired t-test p ${shown(p)}, ` +
      `after Holm over all ${set.tests.length} pairs p ${shown(holm)}.`
    );
  };

  const compare = () => {
    const set = sets[$("q-set").value];
    const [a, b] = [$("q-a").value, $("q-b").value];
    const rows = set.queries.map((_, place) => ({ place, difference: set.values[a][place] - set.values[b][place] }));
    rows.sort((one, other) => other.difference - one.difference);
    const better = rows.filter((row) => row.difference > 0);
    const worse = rows.filter((row) => row.difference < 0);
    $("q-words").textContent =
      `A is better on ${better.length} queries, B on ${worse.length}, equal on ${rows.length - better.length - worse.length}. ` +
      tested(set, a, b);
    $("q-chart").innerHTML = chart(rows);
    $("q-note").textContent =
      set.queries.length < set.total
        ? `Shown are the ${set.queries.length} of ${set.total} queries on which models differ most; means over all queries are in the table.`
        : "Each bar is a query; values are means over seeds, documents those of the first seed.";
    const side = (title, ones) =>
      make("div", {}, make("h3", { textContent: title }),
        ...(ones.length ? ones.slice(0, 8).map((row) => queryDetails(set, row, a, b)) : [make("p", { className: "note", textContent: "None." })]));
    $("q-lists").replaceChildren(side("A gains most", better), side("B gains most", worse.reverse()));
  };

  const fillModels = () => {
    const names = models(sets[$("q-set").value]);
    const total = (name) => sets[$("q-set").value].values[name].reduce((sum, one) => sum + one, 0);
    const order = names.filter((name) => name !== "first stage").sort((a, b) => total(b) - total(a));
    const wanted = [$("q-a").value || order[0], $("q-b").value || order[1] || "first stage"];
    ["q-a", "q-b"].forEach((id, at) => {
      $(id).replaceChildren(...names.map((name) => new Option(labels[name] ?? name, name)));
      $(id).value = names.includes(wanted[at]) ? wanted[at] : names[at];
    });
  };

  if (sets.length) {
    $("q-set").append(...sets.map((set, place) => new Option(`${set.name}, ${set.heading}`, place)));
    fillModels();
    compare();
    $("q-set").addEventListener("change", () => { fillModels(); compare(); });
    for (const id of ["q-a", "q-b"]) $(id).addEventListener("change", compare);
    $("query-app").hidden = false;
  }

  // Print shows what is folded away.
  addEventListener("beforeprint", () => document.querySelectorAll("section > details, section details:not(.query)").forEach((one) => (one.open = true)));
})();
