// The lane of one device: its state, level, spectrogram, and the marks of its events.

import { make } from "./captions.js";
import { Spectrogram } from "./spectrogram.js";
import { clock, percent, timeOfDay } from "./time.js";

const ROWS = 3; // Number of rows of marks.
const ROW_REM = 1.75; // Height of a row in rem.
const LETTER_PX = 7.6; // Approximate width of a letter in pixels, at the default text size.
const GONE_MS = 3000; // Milliseconds without new audio after which a device shows "no audio".
const STEP_MS = 33; // Milliseconds between two drawings.
const CALM_MS = 1000; // Milliseconds between two drawings if the user prefers reduced motion.
const TICK_S = 10; // Seconds between two labels of the time axis.
// Labelled frequencies of the spectrogram in Hz.
const HZ = [[500, "500 Hz"], [1000, "1 kHz"], [2000, "2 kHz"], [4000, "4 kHz"], [8000, "8 kHz"]];
const calm = window.matchMedia("(prefers-reduced-motion: reduce)");

export class Lane {
  constructor(device) {
    this.device = device;
    this.root = make("article", "lane");
    this.root.dataset.device = device;
    this.state = make("span", "state");
    this.word = make("span", "word", "starting");
    this.state.append(make("span", "glyph"), this.word);
    this.title = make("h3", "", device);
    this.sure = make("span", "sure");
    this.fill = make("div", "fill");
    this.db = make("output", "", "–");
    const bar = make("div", "bar");
    bar.append(this.fill);
    const level = make("div", "level");
    level.append(make("span", "", "Level"), bar, this.db);
    this.head = make("header");
    this.head.append(this.title, this.state, this.sure, level);
    const canvas = make("canvas");
    this.scale = make("div", "scale");
    this.picture = make("div", "picture");
    this.picture.append(canvas, this.scale);
    this.ticks = make("div", "ticks");
    this.marks = make("div", "marks");
    for (const part of [this.picture, this.ticks, this.marks]) part.setAttribute("aria-hidden", "true");
    this.root.append(this.head, this.picture, this.ticks, this.marks);
    this.spectrogram = new Spectrogram(canvas);
    this.events = new Map();
    this.edgeS = null; // Time at the right edge in seconds.
    this.drawn = 0;
    this.nowS = null;
    this.name = "";
    this.movedAt = performance.now(); // Time of the newest audio in milliseconds.
    this.beganMs = null; // Wall-clock time of second 0, in milliseconds since 1970.
  }

  /** Show the device status from the server; null means that the device has ended. */
  tell(status, lives) {
    if (status === null) {
      this.setState("gone", "ended");
      this.sure.textContent = "";
      return;
    }
    if (status.name !== this.name) this.setName(status.name);
    if (status.now_s !== this.nowS) this.movedAt = performance.now();
    this.nowS = status.now_s;
    const still = performance.now() - this.movedAt > GONE_MS;
    if (!lives) this.setState("hangs", "hangs");
    else if (still) this.setState("gone", "no audio");
    else this.setState(status.state, status.state);
    this.sure.textContent = status.confidence === null ? "" : `${percent(status.confidence)} sure`;
    const db = Math.max(-90, Math.min(0, status.level_db));
    this.fill.style.transform = `scaleX(${1 + db / 90})`;
    this.db.textContent = status.level_db <= -120 ? "silence" : `${Math.round(status.level_db)} dB`;
  }

  /** Show the system's name of the device beside its label; of a path, show the last part. */
  setName(name) {
    this.name = name;
    this.title.replaceChildren(this.device);
    if (name !== this.device) this.title.append(make("small", "", name.split("/").at(-1)));
    this.title.title = name;
  }

  /** Clear the lane, because another run of the server counts time from its own start. */
  restart() {
    this.spectrogram.forget();
    this.events.clear();
    this.marks.replaceChildren();
    this.edgeS = this.beganMs = null;
  }

  setState(state, word) {
    this.state.dataset.state = state;
    this.word.textContent = word;
  }

  push(columns) {
    const first = this.spectrogram.endS === null;
    this.spectrogram.push(columns);
    if (first) this.setScale(columns);
  }

  setScale({ f_min, f_max }) {
    const mel = (hz) => 2595 * Math.log10(1 + hz / 700);
    this.scale.replaceChildren();
    for (const [hz, name] of HZ) {
      const share = (mel(hz) - mel(f_min)) / (mel(f_max) - mel(f_min));
      if (share > 0.9 || hz === 500 || hz === 2000) continue;
      const label = make("span", "", name);
      label.style.bottom = `${100 * share}%`;
      this.scale.append(label);
    }
  }

  /** Add a mark for `event`, or update its mark. */
  mark(event) {
    if (event.at) this.beganMs = Date.parse(event.at) - 1000 * event.start_s;
    const known = this.events.get(event.id);
    const element = known?.element ?? make("div", "mark");
    if (!known) {
      element.append(make("span"));
      this.marks.append(element);
    }
    element.firstChild.textContent = event.text;
    element.dataset.startS = event.start_s;
    element.title = event.text;
    this.events.set(event.id, { ...event, element, row: known?.row });
  }

  /** Draw the lane if it is time to; `now` is the time stamp of requestAnimationFrame. */
  draw(now, theme) {
    const wait = calm.matches ? CALM_MS : STEP_MS;
    if (now - this.drawn < wait - 4) return;
    const passedS = (now - this.drawn) / 1000;
    this.drawn = now;
    const { endS } = this.spectrogram;
    if (endS === null || this.root.hidden) return;
    // Audio arrives in blocks. The edge moves evenly and is pulled towards the end of the blocks.
    const lagS = endS - (this.edgeS ?? endS);
    const still = performance.now() - this.movedAt > GONE_MS;
    if (calm.matches || this.edgeS === null || Math.abs(lagS) > 1.5) this.edgeS = endS;
    else if (!still) this.edgeS += passedS + (lagS - 0.25) * Math.min(1, passedS);
    const width = this.picture.clientWidth;
    const spanS = width > 620 ? 60 : 30;
    const perS = width / spanS;
    const from = this.edgeS - spanS;
    this.spectrogram.setTheme(theme);
    this.place(from, perS, width);
    const starts = [...this.events.values()].map((event) => event.start_s);
    const style = getComputedStyle(this.root);
    this.spectrogram.draw(this.edgeS, spanS, starts, style.getPropertyValue("--accent"));
    this.tick(from, perS, spanS);
  }

  place(from, perS, width) {
    const busy = new Array(ROWS).fill(-Infinity); // Time in seconds until which each row is taken.
    for (const [id, event] of this.events) {
      const endS = event.open ? this.edgeS : event.end_s;
      const textS = (LETTER_PX * event.text.length + 18) / perS;
      if (Math.max(endS, event.start_s + textS) < from) {
        event.element.remove();
        this.events.delete(id);
        continue;
      }
      if (event.row === undefined) {
        const free = busy.findIndex((untilS) => untilS <= event.start_s);
        event.row = free < 0 ? ROWS - 1 : free;
      }
      busy[event.row] = Math.max(busy[event.row], endS, event.start_s + textS);
      const { style } = event.element;
      style.transform = `translate(${((event.start_s - from) * perS).toFixed(1)}px, ${event.row * ROW_REM}rem)`;
      style.width = `${Math.max(4, (endS - event.start_s) * perS).toFixed(1)}px`;
      event.element.hidden = (event.start_s - from) * perS > width;
    }
  }

  tick(from, perS, spanS) {
    const beganS = this.beganMs === null ? 0 : this.beganMs / 1000;
    let at = Math.ceil((from + beganS) / TICK_S) * TICK_S - beganS;
    let used = 0;
    for (; at < from + spanS; at += TICK_S) {
      if (at < 0) continue;
      const label = this.ticks.children[used] ?? this.ticks.appendChild(make("span"));
      used += 1;
      label.hidden = false;
      const text = this.beganMs === null ? clock(at) : timeOfDay(new Date(this.beganMs + 1000 * at));
      if (label.textContent !== text) label.textContent = text;
      label.style.transform = `translateX(${((at - from) * perS).toFixed(1)}px)`;
    }
    for (; used < this.ticks.children.length; used++) this.ticks.children[used].hidden = true;
  }
}
