// The stream of server-sent events, come what may: it comes back by itself, from where it was.

const SILENT_MS = 8000; // the server says something five times a second
const WAIT_MS = [1000, 2000, 5000, 10000];

/**
 * @param {Object<string, function(Object)>} handlers what to do with each kind of message
 * @param {function(string)} tell told "live", "lost" or "refused"
 */
export function connect(handlers, tell) {
  let source = null;
  let mark = ""; // of the last events that came
  let tries = 0;
  let heard = Date.now();
  let again = 0;

  function open() {
    again = 0;
    heard = Date.now();
    source = new EventSource(mark ? `live?since=${encodeURIComponent(mark)}` : "live");
    source.onerror = retry;
    for (const [kind, handle] of Object.entries(handlers)) {
      source.addEventListener(kind, (message) => {
        heard = Date.now();
        tries = 0;
        tell("live");
        if (message.lastEventId) mark = message.lastEventId;
        handle(JSON.parse(message.data));
      });
    }
  }

  async function retry() {
    if (again) return;
    source.close();
    tell("lost");
    again = setTimeout(open, WAIT_MS[Math.min(tries++, WAIT_MS.length - 1)]);
    try {
      if ((await fetch("health", { cache: "no-store" })).status === 401) tell("refused");
    } catch {
      // nobody is there: that is told already
    }
  }

  // A machine that slept, or went out of reach, leaves a connection that only looks alive.
  setInterval(() => {
    if (!again && Date.now() - heard > SILENT_MS) retry();
  }, 1000);
  open();
}
