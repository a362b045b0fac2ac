// The large captions: the active events and the most recent ones.

import { percent, when } from "./time.js";

const SHOWN = 5; // Maximum number of captions.
const SAID_MS = 1500; // Minimum time in milliseconds between two messages to a screen reader.

/** Make an element with a class and a text. The text is never parsed as markup. */
export function make(tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}

export class Captions {
  constructor(list, nothing) {
    this.list = list;
    this.nothing = nothing;
    this.rows = new Map();
  }

  /** Show the newest of `events`. Active events come last, so that they keep their place. */
  show(events, labelled) {
    const chosen = events.slice(-SHOWN);
    const sounding = events.filter((event) => event.open && !chosen.includes(event));
    const all = [...sounding, ...chosen].slice(-SHOWN);
    all.sort((a, b) => Number(a.open) - Number(b.open));
    this.nothing.hidden = all.length > 0;
    const kept = new Set(all.map((event) => event.id));
    for (const [id, row] of this.rows) {
      if (!kept.has(id)) {
        row.remove();
        this.rows.delete(id);
      }
    }
    all.forEach((event, index) => {
      const row = this.rows.get(event.id) ?? this.add(event);
      fill(row, event, labelled);
      if (this.list.children[index] !== row) this.list.insertBefore(row, this.list.children[index] ?? null);
    });
  }

  add(event) {
    const row = make("li");
    row.append(make("time"), make("div", "words"));
    row.dataset.id = event.id;
    this.rows.set(event.id, row);
    return row;
  }
}

function fill(row, event, labelled) {
  const [time, words] = row.children;
  const about = [event.open ? "now" : "", labelled ? event.device : "", `${percent(event.confidence)} sure`];
  const note = about.filter(Boolean).join(" · ");
  const said = `${event.text}|${note}`;
  if (row.dataset.said === said) return;
  row.dataset.said = said;
  row.classList.toggle("open", event.open);
  time.textContent = when(event);
  words.replaceChildren(event.text, make("small", "", note));
}

/** Announces new captions to a screen reader, and combines captions that come fast. */
export class Announcer {
  constructor(region) {
    this.region = region;
    this.waiting = [];
    this.timer = 0;
  }

  say(text) {
    this.waiting.push(text);
    this.timer ||= setTimeout(() => {
      const line = make("span", "", this.waiting.splice(0).slice(-3).join("; ") + ". ");
      this.region.append(line);
      while (this.region.children.length > 5) this.region.firstChild.remove();
      this.timer = 0;
    }, SAID_MS);
  }
}
