//<![CDATA[
// The list of effects: it shows the rows that are in view and searches all. Every text reaches the
// page through textContent; the policy in the page's head refuses any other way (trusted types).
"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const data = JSON.parse(byId("effects-data").textContent);
  const strings = data.strings;
  const total = data.seq.length;
  const number = (list) => Uint32Array.from(list);
  const [verb, verdict, act, label, fate, who, why] =
    [data.verb, data.verdict, data.act, data.label, data.fate, data.who, data.why].map(number);
  const positions = new Map(data.seq.map((seq, row) => [seq, row]));
  const guilty = new Set(data.violations);

  const list = byId("list");
  const canvas = byId("canvas");
  const search = byId("search");
  const verbChoice = byId("verb");
  const verdictChoice = byId("verdict");
  const callChoice = byId("call");
  const claimChoice = byId("claim");
  const found = byId("found");
  const detail = byId("detail");

  const ROW = 46;
  let shown = number(data.seq.keys());
  let selected = -1;
  let haystack = null;
  const pool = [];

  // All texts in one, lower case, and where each begins: to look through one long text is many
  // times faster than through many short ones. No text has a line end of its own.
  const texts = () => {
    if (haystack !== null) return haystack;
    const lower = strings.map((text) => text.toLowerCase());
    const begins = new Uint32Array(lower.length + 1);
    lower.forEach((text, index) => { begins[index + 1] = begins[index] + text.length + 1; });
    haystack = { all: lower.join("\n"), begins };
    return haystack;
  };
  // For each text, whether a word is in it.
  const having = (word) => {
    const { all, begins } = texts();
    const hit = new Uint8Array(strings.length);
    let index = 0;
    for (let at = all.indexOf(word); at !== -1; at = all.indexOf(word, begins[index])) {
      while (begins[index + 1] <= at) index += 1;
      hit[index] = 1;
      index += 1;
    }
    return hit;
  };
  const time = (row) => {
    const seconds = data.at[row] / 1e6;
    return seconds.toFixed(10 > seconds ? 3 : 1) + " s";
  };
  const caller = (row) => (data.call[row] === null ? "none" : String(data.call[row]));
  const element = (name, className, parent) => {
    const made = document.createElement(name);
    made.className = className;
    parent.append(made);
    return made;
  };

  const newRow = () => {
    const row = element("div", "row", canvas);
    row.setAttribute("role", "listitem");
    const first = element("div", "first", row);
    const parts = { row };
    parts.link = element("a", "seq", first);
    parts.at = element("span", "at soft", first);
    parts.call = element("span", "caller soft", first);
    parts.verdict = element("span", "verdict", first);
    parts.act = element("code", "act", first);
    parts.second = element("div", "second soft", row);
    return parts;
  };

  // Moves the pooled rows to what is in view and fills them.
  const draw = () => {
    const begin = Math.max(0, Math.floor(list.scrollTop / ROW) - 4);
    const end = Math.min(shown.length, begin + Math.ceil(list.clientHeight / ROW) + 9);
    while (pool.length < end - begin) pool.push(newRow());
    pool.forEach((parts, index) => {
      const place = begin + index;
      parts.row.hidden = place >= end;
      if (parts.row.hidden) return;
      const row = shown[place];
      parts.place = place;
      parts.row.style.transform = `translateY(${place * ROW}px)`;
      parts.row.classList.toggle("selected", row === selected);
      parts.row.setAttribute("aria-setsize", shown.length);
      parts.row.setAttribute("aria-posinset", place + 1);
      parts.link.textContent = "#" + data.seq[row];
      parts.link.href = "#e" + data.seq[row];
      parts.at.textContent = time(row);
      parts.call.textContent = data.call[row] === null ? "no call" : "call " + data.call[row];
      parts.verdict.textContent = strings[verdict[row]];
      parts.verdict.classList.toggle("bad", guilty.has(verdict[row]));
      parts.act.textContent = strings[act[row]];
      const rest = [label, fate, who, why].map((column) => strings[column[row]]);
      parts.second.textContent = rest.filter((text) => text !== "").join(" · ");
    });
  };

  const chosen = (choice) => (choice.value === "" ? null : Number(choice.value));

  // Which rows have what is searched for. A word is looked for once in each distinct text.
  const matches = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter((word) => word !== "");
    const seqs = words.filter((word) => /^#\d+$/.test(word)).map((word) => Number(word.slice(1)));
    const hits = words.filter((word) => !/^#\d+$/.test(word)).map(having);
    const has = (row) => {
      for (const hit of hits) {
        if ((hit[act[row]] | hit[label[row]] | hit[verdict[row]] | hit[fate[row]] | hit[who[row]]
          | hit[why[row]]) === 0) return false;
      }
      return true;
    };
    const claim = chosen(claimChoice);
    const claimed = claim === null ? null : new Set(data.claims[claim].seqs);
    const [onlyVerb, onlyVerdict] = [chosen(verbChoice), chosen(verdictChoice)];
    const call = callChoice.value.trim();
    const rows = new Uint32Array(total);
    let count = 0;
    for (let row = 0; row < total; row += 1) {
      if (onlyVerb !== null && verb[row] !== onlyVerb) continue;
      if (onlyVerdict !== null && verdict[row] !== onlyVerdict) continue;
      if (call !== "" && caller(row) !== call) continue;
      if (claimed !== null && !claimed.has(data.seq[row])) continue;
      if (seqs.length > 0 && !seqs.includes(data.seq[row])) continue;
      if (has(row)) rows[count++] = row;
    }
    return rows.subarray(0, count);
  };

  const filter = () => {
    shown = matches();
    canvas.style.height = `${shown.length * ROW}px`;
    found.textContent = `${shown.length} of ${total}`;
    list.scrollTop = 0;
    draw();
  };

  const clear = () => {
    for (const choice of [search, verbChoice, verdictChoice, callChoice, claimChoice]) choice.value = "";
  };

  // Tells all of one effect, and shows it among the others.
  const select = (row) => {
    selected = row;
    let place = shown.indexOf(row);
    if (place === -1) {
      clear();
      filter();
      place = row;
    }
    const top = place * ROW;
    if (list.scrollTop > top || top + ROW > list.scrollTop + list.clientHeight) {
      list.scrollTop = Math.max(0, top - list.clientHeight / 3);
    }
    const facts = [
      ["effect", "#" + data.seq[row]], ["at", time(row)], ["call", caller(row)],
      ["what", strings[act[row]]], ["object", strings[label[row]]],
      ["verdict", strings[verdict[row]]], ["why", strings[why[row]]],
      ["what came of it", strings[fate[row]]], ["who", strings[who[row]]],
    ];
    detail.replaceChildren();
    for (const [name, fact] of facts.filter(([, fact]) => fact !== "")) {
      element("dt", "", detail).textContent = name;
      element("code", "", element("dd", "", detail)).textContent = fact;
    }
    detail.hidden = false;
    draw();
  };

  const option = (choice, value, text) => {
    const made = element("option", "", choice);
    made.value = value;
    made.textContent = text;
  };
  const options = (choice, column) => {
    const distinct = [...new Set(column)].map((index) => [strings[index], index]);
    for (const [text, index] of distinct.sort()) option(choice, index, text);
  };
  options(verbChoice, verb);
  options(verdictChoice, verdict);
  data.claims.forEach((claim, index) => {
    if (claim.seqs.length > 0) option(claimChoice, index, `${claim.name} (${claim.seqs.length})`);
  });

  // Links to an effect, to a call's effects or to those that a claim rests on.
  const follow = () => {
    const to = /^#(e|call=|claim=)(\d+)$/.exec(location.hash);
    if (to === null || byId(location.hash.slice(1)) !== null) return;
    if (to[1] === "e") {
      const row = positions.get(Number(to[2]));
      if (row === undefined) return;
      select(row);
    } else {
      clear();
      (to[1] === "call=" ? callChoice : claimChoice).value = to[2];
      filter();
    }
    byId("effects").scrollIntoView();
  };

  search.addEventListener("input", filter);
  callChoice.addEventListener("input", filter);
  for (const choice of [verbChoice, verdictChoice, claimChoice]) choice.addEventListener("change", filter);
  byId("clear").addEventListener("click", () => { clear(); filter(); });
  list.addEventListener("scroll", draw, { passive: true });
  addEventListener("resize", draw);
  addEventListener("hashchange", follow);
  canvas.addEventListener("click", (event) => {
    const parts = pool.find(({ row }) => row.contains(event.target));
    if (parts === undefined || String(getSelection()) !== "") return;
    event.preventDefault();
    const row = shown[parts.place];
    history.replaceState(null, "", "#e" + data.seq[row]);
    select(row);
  });
  list.style.height = `min(60vh, 36rem, ${total * ROW + 2}px)`;
  byId("tools").hidden = false;
  filter();
  follow();
  // The first search need not wait for this.
  setTimeout(texts);
})();
//]]>
