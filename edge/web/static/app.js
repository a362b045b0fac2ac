// The page: receives the stream of server-sent events and passes each message to its parts.

import { Announcer, Captions } from "./captions.js";
import { History } from "./history.js";
import { Lane } from "./lane.js";
import { Settings } from "./settings.js";
import { Store } from "./store.js";
import { connect } from "./stream.js";

const LINK = {
  live: "live",
  lost: "connection lost; trying again",
  refused: "not allowed in: open the link with the token again",
};

const element = (id) => document.getElementById(id);

// The token is in a cookie now. Remove it from the address bar, where bystanders could read it.
if (location.search) history.replaceState(null, "", location.pathname);

const settings = new Settings();
const store = new Store();
const captions = new Captions(element("now"), element("nothing"));
const historyList = new History(element("events"), element("search"), element("count"));
const announcer = new Announcer(element("said"));
const lanes = new Map();
let device = ""; // Label of the selected device; "" selects all.
let greeted = false; // True after the first status; earlier events are not read aloud.

function lane(name) {
  let found = lanes.get(name);
  if (!found) {
    found = new Lane(name);
    lanes.set(name, found);
    element("lanes").append(found.root);
    const option = document.createElement("option");
    option.value = option.textContent = name;
    element("device").append(option);
    element("pick").hidden = lanes.size < 2;
    for (const event of store.list(name)) found.mark(event);
  }
  return found;
}

function show() {
  const labelled = lanes.size > 1 && !device;
  const events = store.list(device);
  captions.show(events, labelled);
  historyList.show(events, labelled);
}

function choose(name) {
  device = name;
  for (const [key, one] of lanes) one.root.hidden = Boolean(device) && key !== device;
  for (const kind of ["txt", "srt", "json"]) {
    const query = device ? `?device=${encodeURIComponent(device)}` : "";
    element(`save-${kind}`).href = `export/captions.${kind}${query}`;
  }
  show();
}

const handlers = {
  hello({ run }) {
    if (store.run && store.run !== run) for (const one of lanes.values()) one.restart();
    store.hello(run);
    show();
  },

  events(records) {
    for (const event of store.take(records)) {
      lane(event.device).mark(event);
      if (greeted && event.fresh && (!device || device === event.device)) {
        announcer.say(lanes.size > 1 ? `${event.device}: ${event.text}` : event.text);
      }
    }
    show();
  },

  columns(columns) {
    lane(columns.device).push(columns);
  },

  status({ lives, cpu_share, devices }) {
    greeted = true;
    const now = new Map(devices.map((one) => [one.device, one]));
    for (const name of now.keys()) lane(name);
    for (const [name, one] of lanes) one.tell(now.get(name) ?? null, lives);
    element("cpu").textContent = `${(100 * cpu_share).toFixed(1)} % of a core`;
    const sum = (key) => devices.reduce((total, one) => total + one[key], 0);
    number("skipped", sum("skipped_windows"), String(sum("skipped_windows")));
    number("lost", sum("lost_s"), `${sum("lost_s").toFixed(1)} s`);
  },
};

function number(id, value, text) {
  element(id).textContent = text;
  element(id).dataset.bad = String(value > 0);
}

function showLink(state) {
  element("link").dataset.state = state;
  element("link").querySelector(".word").textContent = LINK[state];
}

function fullScreen() {
  if (document.fullscreenElement) document.exitFullscreen();
  else document.documentElement.requestFullscreen?.();
}

function goTo(id) {
  element(id).scrollIntoView({ block: "start" });
  element(id).focus();
}

const KEYS = {
  "/": () => goTo("search"),
  c: () => goTo("captions"),
  h: () => goTo("history"),
  "+": () => settings.resize(1),
  "=": () => settings.resize(1),
  "-": () => settings.resize(-1),
  t: () => settings.nextTheme(),
  f: fullScreen,
  "?": () => {
    element("help").open = !element("help").open;
    goTo("help");
    element("help").querySelector("summary").focus();
  },
};

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input, select, textarea");
  if (event.key === "Escape" && event.target === element("search")) {
    element("search").value = "";
    historyList.draw();
    element("search").blur();
    return;
  }
  if (!settings.keys || typing || event.ctrlKey || event.altKey || event.metaKey) return;
  const act = KEYS[event.key];
  if (act) {
    event.preventDefault();
    act();
  }
});

element("smaller").addEventListener("click", () => settings.resize(-1));
element("larger").addEventListener("click", () => settings.resize(1));
element("theme").addEventListener("click", () => settings.nextTheme());
element("full").addEventListener("click", fullScreen);
element("full").hidden = !document.fullscreenEnabled;
element("keys").addEventListener("change", (event) => settings.setKeys(event.target.checked));
element("device").addEventListener("change", (event) => choose(event.target.value));

function draw(now) {
  settings.follow();
  for (const one of lanes.values()) one.draw(now, settings.shown);
  requestAnimationFrame(draw);
}

connect(handlers, showLink);
requestAnimationFrame(draw);
