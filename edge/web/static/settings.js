// The viewer's settings: text size, theme and single keys. They are stored only in this browser.

const SIZES = [87.5, 100, 112.5, 125, 150, 175, 200]; // Text sizes in per cent of the browser's.
const THEMES = ["system", "light", "dark"];
const dark = window.matchMedia("(prefers-color-scheme: dark)");

function load(name, fallback) {
  try {
    return localStorage.getItem(`aac-stream.${name}`) ?? fallback;
  } catch {
    return fallback; // The browser allows no storage.
  }
}

function save(name, value) {
  try {
    localStorage.setItem(`aac-stream.${name}`, value);
  } catch {
    // The browser allows no storage; the setting holds until the page is closed.
  }
}

export class Settings {
  constructor() {
    const size = Number(load("size", "100"));
    this.size = Math.max(0, SIZES.indexOf(size) < 0 ? 1 : SIZES.indexOf(size));
    this.theme = THEMES.includes(load("theme", "system")) ? load("theme", "system") : "system";
    this.keys = load("keys", "on") === "on";
    this.apply();
  }

  /** Return the shown theme, "light" or "dark". */
  get shown() {
    if (this.theme !== "system") return this.theme;
    return dark.matches ? "dark" : "light";
  }

  apply() {
    const root = document.documentElement;
    root.dataset.theme = this.shown;
    root.style.fontSize = `${SIZES[this.size]}%`;
    document.getElementById("theme-name").textContent = this.theme;
    document.getElementById("smaller").disabled = this.size === 0;
    document.getElementById("larger").disabled = this.size === SIZES.length - 1;
    document.getElementById("keys").checked = this.keys;
  }

  /** Apply the system's theme if it has changed; called each time that the page is drawn. */
  follow() {
    if (document.documentElement.dataset.theme !== this.shown) this.apply();
  }

  resize(steps) {
    this.size = Math.max(0, Math.min(SIZES.length - 1, this.size + steps));
    save("size", String(SIZES[this.size]));
    this.apply();
  }

  nextTheme() {
    this.theme = THEMES[(THEMES.indexOf(this.theme) + 1) % THEMES.length];
    save("theme", this.theme);
    this.apply();
  }

  setKeys(on) {
    this.keys = on;
    save("keys", on ? "on" : "off");
  }
}
