// The list of past events, newest first, and its search.

import { make } from "./captions.js";
import { day, percent, when } from "./time.js";

const SHOWN = 500; // Maximum number of rows shown; the search covers all events.

export class History {
  constructor(list, search, count) {
    this.list = list;
    this.search = search;
    this.count = count;
    this.events = [];
    this.labelled = false;
    this.due = 0;
    search.addEventListener("input", () => this.draw());
  }

  /** Show `events`, given oldest first. Calls within 50 ms are drawn together. */
  show(events, labelled) {
    this.events = events;
    this.labelled = labelled;
    this.due ||= setTimeout(() => {
      this.due = 0;
      this.draw();
    }, 50);
  }

  draw() {
    const words = this.search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const holds = (event) => {
      const text = `${event.text} ${event.device} ${when(event)}`.toLowerCase();
      return words.every((word) => text.includes(word));
    };
    const found = this.events.filter(holds).reverse();
    const rows = [];
    let date = null;
    for (const event of found.slice(0, SHOWN)) {
      if (day(event) && day(event) !== date) {
        date = day(event);
        rows.push(make("li", "day", date));
      }
      rows.push(this.row(event));
    }
    this.list.replaceChildren(...rows);
    const all = this.events.length;
    const shown = found.length > SHOWN ? `, the newest ${SHOWN} shown` : "";
    const text = (words.length ? `${found.length} of ${all} events` : `${all} ${all === 1 ? "event" : "events"}`) + shown;
    // A screen reader reads the result of a search, but not the count after each event.
    this.count.setAttribute("aria-live", words.length ? "polite" : "off");
    if (this.count.textContent !== text) this.count.textContent = text;
  }

  row(event) {
    const row = make("li");
    row.dataset.id = event.id;
    const words = make("span", "words");
    if (this.labelled) words.append(make("span", "who", `${event.device}: `));
    words.append(event.text);
    const sure = make("span", "sure", event.open ? "now" : percent(event.confidence));
    row.append(make("time", "", when(event)), words, sure);
    return row;
  }
}
