// The stream of server-sent events. It reconnects by itself and resumes where it stopped.

const SILENT_MS = 8000; // Milliseconds without a message after which it reconnects; normal is 200.
const WAIT_MS = [1000, 2000, 5000, 10000]; // Milliseconds before each successive attempt.

/**
 * Connect to the server and stay connected.
 *
 * @param {Object<string, function(Object)>} handlers a handler for each kind of message
 * @param {function(string)} report gets the state of the connection: "live", "lost" or "refused"
 */
export function connect(handlers, report) {
  let source = null;
  let mark = ""; // Mark of the last events received.
  let tries = 0;
  let lastMessageMs = Date.now();
  let retryTimer = 0;

  function open() {
    retryTimer = 0;
    lastMessageMs = Date.now();
    source = new EventSource(mark ? `live?since=${encodeURIComponent(mark)}` : "live");
    source.onerror = retry;
    for (const [kind, handle] of Object.entries(handlers)) {
      source.addEventListener(kind, (message) => {
        lastMessageMs = Date.now();
        tries = 0;
        report("live");
        if (message.lastEventId) mark = message.lastEventId;
        handle(JSON.parse(message.data));
      });
    }
  }

  async function retry() {
    if (retryTimer) return;
    source.close();
    report("lost");
    retryTimer = setTimeout(open, WAIT_MS[Math.min(tries++, WAIT_MS.length - 1)]);
    try {
      if ((await fetch("health", { cache: "no-store" })).status === 401) report("refused");
    } catch {
      // The server does not answer; the state is "lost" already.
    }
  }

  // If a machine sleeps or leaves the network, the connection is dead but does not report an error.
  setInterval(() => {
    if (!retryTimer && Date.now() - lastMessageMs > SILENT_MS) retry();
  }, 1000);
  open();
}
