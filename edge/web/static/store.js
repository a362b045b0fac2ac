// The events that the page knows, by what is the same for all that is said of one.

const KEPT = 2000;

export class Store {
  constructor() {
    this.run = ""; // of the server that they come from; its keys begin anew when it starts anew
    this.events = new Map();
  }

  /** A server began, or the same one again. */
  hello(run) {
    if (run !== this.run) {
      for (const event of this.events.values()) event.open = false; // nobody will say how it ended
    }
    this.run = run;
  }

  /** Take what is said of events; returns them with an `id`, and whether they are `fresh`. */
  take(records) {
    return records.map((record) => {
      const id = `${this.run}-${record.key}`;
      const event = { ...record, id, fresh: !this.events.has(id) };
      this.events.set(id, event);
      if (this.events.size > KEPT) this.events.delete(this.events.keys().next().value);
      return event;
    });
  }

  /** Those of `device`, or all, in the order in which they began to be told. */
  list(device) {
    return [...this.events.values()].filter((event) => !device || event.device === device);
  }
}
