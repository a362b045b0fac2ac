// The spectrogram: a ring buffer of columns. Each column is painted once; strips of them are drawn.

import { palette } from "./palette.js";

const KEPT_S = 64; // Length of the ring buffer in seconds.

export class Spectrogram {
  constructor(canvas) {
    this.canvas = canvas;
    this.theme = "light";
    this.colours = palette("light");
    this.ring = document.createElement("canvas");
    this.columns = new Map(); // Values by the number of the column, counted from second 0.
    this.stepS = 0; // Duration of a column in seconds.
    this.bands = 0; // Number of frequency bands.
    this.endS = null; // End of the newest column in seconds.
  }

  /** Add columns in the form that the server sends. */
  push({ start_s, step_s, bands, values }) {
    if (step_s !== this.stepS || bands !== this.bands) this.begin(step_s, bands);
    const bytes = Uint8Array.from(atob(values), (c) => c.charCodeAt(0));
    const first = Math.round(start_s / step_s);
    const count = bytes.length / bands;
    for (let i = 0; i < count; i++) {
      this.columns.set(first + i, bytes.subarray(i * bands, (i + 1) * bands));
      this.paint(first + i);
    }
    this.endS = Math.max(this.endS ?? 0, (first + count) * step_s);
    const oldest = first + count - this.ring.width;
    for (const key of this.columns.keys()) {
      if (key > oldest) break;
      this.columns.delete(key);
    }
  }

  begin(stepS, bands) {
    this.stepS = stepS;
    this.bands = bands;
    this.ring.width = Math.ceil(KEPT_S / stepS);
    this.ring.height = bands;
    this.forget();
  }

  forget() {
    this.columns.clear();
    this.endS = null;
  }

  paint(column) {
    const values = this.columns.get(column);
    const pen = this.ring.getContext("2d");
    const image = pen.createImageData(1, this.bands);
    const pixels = new Uint32Array(image.data.buffer);
    for (let band = 0; band < this.bands; band++) {
      pixels[this.bands - 1 - band] = this.colours[values ? values[band] : 0];
    }
    pen.putImageData(image, column % this.ring.width, 0);
  }

  setTheme(theme) {
    if (theme === this.theme) return;
    this.theme = theme;
    this.colours = palette(theme);
    for (const column of this.columns.keys()) this.paint(column);
  }

  /** Draw the `spanS` seconds before `edgeS`, with a vertical line at each time of `starts`. */
  draw(edgeS, spanS, starts, lineColour) {
    const { canvas } = this;
    const ratio = window.devicePixelRatio || 1;
    const width = Math.round(canvas.clientWidth * ratio);
    const height = Math.round(canvas.clientHeight * ratio);
    if (canvas.width !== width || canvas.height !== height) {
      canvas.width = width;
      canvas.height = height;
    }
    const pen = canvas.getContext("2d");
    const silent = this.colours[0];
    pen.fillStyle = `rgb(${silent & 255} ${(silent >> 8) & 255} ${(silent >> 16) & 255})`;
    pen.fillRect(0, 0, width, height);
    if (this.endS === null) return;
    const perS = width / spanS;
    const from = edgeS - spanS;
    for (const [first, last] of this.runs(from, edgeS)) this.strip(pen, first, last, from, perS, height);
    pen.fillStyle = lineColour;
    for (const start of starts) {
      if (start > from && start < edgeS) pen.fillRect(Math.round((start - from) * perS), 0, Math.max(1, ratio), height);
    }
  }

  /** Return the first and last number of each run of consecutive columns without a ring wrap. */
  runs(fromS, toS) {
    const found = [];
    const last = Math.min(Math.ceil(toS / this.stepS), Math.round(this.endS / this.stepS) - 1);
    for (let column = Math.max(0, Math.floor(fromS / this.stepS)); column <= last; column++) {
      if (!this.columns.has(column)) continue;
      const run = found.at(-1);
      const wraps = column % this.ring.width === 0;
      if (run && run[1] === column - 1 && !wraps) run[1] = column;
      else found.push([column, column]);
    }
    return found;
  }

  strip(pen, first, last, from, perS, height) {
    const count = last - first + 1;
    const x = (first * this.stepS - from) * perS;
    const at = first % this.ring.width;
    pen.drawImage(this.ring, at, 0, count, this.bands, x, 0, count * this.stepS * perS, height);
  }
}
