// What the viewer chose, kept in this browser alone: size of text, light or dark, single keys.

const SIZES = [87.5, 100, 112.5, 125, 150, 175, 200]; // per cent of what the browser is set to
const THEMES = ["system", "light", "dark"];
const dark = window.matchMedia("(prefers-color-scheme: dark)");

function load(name, usual) {
  try {
    return localStorage.getItem(`aac-stream.${name}`) ?? usual;
  } catch {
    return usual; // a browser that keeps nothing
  }
}

function save(name, value) {
  try {
    localStorage.setItem(`aac-stream.${name}`, value);
  } catch {
    // then it holds until the page is closed
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

  /** "light" or "dark", as it is shown. */
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

  /** Called as the page is drawn: the system may have turned dark, or light. */
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
