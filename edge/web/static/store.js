// The events that the page knows. All states of one event share its key.

const KEPT = 2000; // Maximum number of events.

export class Store {
  constructor() {
    this.run = ""; // Id of the server run; each run counts its keys from 1.
    this.events = new Map();
  }

  /** Note the run of the server after each connection. */
  hello(run) {
    if (run !== this.run) {
      for (const event of this.events.values()) event.open = false; // Their end never arrives.
    }
    this.run = run;
  }

  /** Store event records; return them with an `id`, and `fresh` set if the event is new. */
  take(records) {
    return records.map((record) => {
      const id = `${this.run}-${record.key}`;
      const event = { ...record, id, fresh: !this.events.has(id) };
      this.events.set(id, event);
      if (this.events.size > KEPT) this.events.delete(this.events.keys().next().value);
      return event;
    });
  }

  /** Return the events of `device`, or of all devices if it is "", in the order of arrival. */
  list(device) {
    return [...this.events.values()].filter((event) => !device || event.device === device);
  }
}
